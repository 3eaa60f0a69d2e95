"""`llama-bridge doctor`: it finds what is wrong, says where each model really runs, and changes
nothing.
"""

from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.cli import doctor, main
from proxy.llama_server import gpu
from proxy.settings import load
from tests.llama_server.config.test_gguf import LLAMA, made
from tests.process.fake_server import Conduct
from tests.test_admin_client import Running

READY = {
    "id": "coder",
    "state": "ready",
    "reason": None,
    "context": 32768,
    "device": "CUDA0",
    "layers": {"offloaded": 48, "all": 49},
    "slots": 2,
    "memory_mib": 11392,
    "warning": None,
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def health(**more: Any) -> httpx.Response:
    told: dict[str, Any] = {
        "status": "ok",
        "backend": "llama_cpp",
        "url": "http://127.0.0.1:9/v1",
        "model": "coder",
        "reason": None,
        "waiting": [],
    }
    return httpx.Response(200, json=told | more)


def found(answer: httpx.Response | Exception, **options: str) -> list[tuple[str, str, str]]:
    settings = load({name.upper(): value for name, value in options.items()})
    return [(one.level, one.what, one.detail) for one in doctor.examine(settings, Running(answer))]


NOBODY = httpx.ConnectError("refused")


def test_with_nothing_configured() -> None:
    set_up, engine, gpu, tiny, running = found(NOBODY)
    assert set_up == (
        "ok",
        "set up",
        "no llama-server.conf, 1 model, 1 loaded at once; default: tiny-toolcaller",
    )
    assert engine == ("ok", "engine", "llama-server of the xllamacpp wheel")
    assert gpu[:2] == ("--", "GPU")
    assert tiny[:2] == ("ok", "file")
    assert tiny[2].endswith(
        "tiny-toolcaller.gguf: llama, F16, trained for 131,072 tokens, dialect detected at run time"
    )
    assert running == (
        "--",
        "running",
        (
            "no llama-bridge at http://127.0.0.1:8081: refused; is it running, "
            "and is PROXY_PORT right?"
        ),
    )


def test_models_and_their_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "DEVICE_NODES", {"card*": "a GPU"})
    engine = Conduct().script(home / "my-server")
    made(home / "coder.gguf", LLAMA | {"tokenizer.chat_template": "<function="})
    made(home / "vectors.gguf", {"general.architecture": "bert", "bert.pooling_type": 1})
    (home / "llama-server.conf").write_text(
        f"[*]\nbinary = {engine}\n[coder]\nmodel = coder.gguf\npreload = true\n[vectors]\n"
        f"model = vectors.gguf\n"
        "[far]\nmodel = hf:owner/repo:Q4_K_M\n"
    )
    *set_up, coder, vectors, far, _ = found(NOBODY)
    rows = {what: (mark, told) for mark, what, told in set_up}
    assert rows["set up"] == (
        "ok",
        f"{home / 'llama-server.conf'}, 3 models, 1 loaded at once; default: coder",
    )
    assert rows["engine"] == ("ok", str(engine))
    assert rows["GPU"] == ("--", "none visible to this system")
    assert coder == (
        "ok",
        "file",
        (f"{home / 'coder.gguf'}: llama, Q4_K_M, trained for 4,096 tokens, dialect qwen3_coder"),
    )
    assert vectors == ("ok", "file", f"{home / 'vectors.gguf'}: bert, unknown, embeddings")
    assert far == (
        "--",
        "file",
        "owner/repo:Q4_K_M on Hugging Face; llama-server downloads it",
    )


def test_a_folder_with_a_damaged_file(home: Path) -> None:
    made(home / "models/coder.gguf", LLAMA)
    (home / "models/bad.gguf").touch()
    rows = found(NOBODY, llama_model=str(home / "models"))
    assert [told for mark, what, told in rows if (mark, what) == ("!!", "note")] == [
        f"skipped {home}/models/bad.gguf: the header is incomplete; download the file again"
    ]


def test_a_configuration_that_cannot_be_read(home: Path) -> None:
    (home / "llama-server.conf").write_text("[*]\nnonsense = 1\n")
    wrong, _ = found(NOBODY)
    assert wrong[:2] == ("!!", "set up")
    assert "llama-server.conf:2" in wrong[2]


def test_a_backend_that_is_named() -> None:
    assert found(health(backend="vllm", model="m"), backend_url="http://10.0.0.5:8000/v1") == [
        ("--", "backend", "http://10.0.0.5:8000/v1"),
        ("ok", "running", "http://127.0.0.1:9/v1: vllm, m"),
    ]


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (
            {},
            (
                "ok",
                "coder",
                "ready: CUDA0, 48 of 49 layers on the GPU, context 32,768 in 2 slots, 11,392 MiB",
            ),
        ),
        (
            {"device": None, "layers": None, "slots": None, "memory_mib": None},
            ("ok", "coder", "ready: device unknown"),
        ),
        (
            {"warning": "It runs on the CPU.", "layers": None, "slots": None, "memory_mib": None},
            ("!!", "coder", "ready: CUDA0\nIt runs on the CPU."),
        ),
        ({"state": "failed", "reason": "out of memory"}, ("!!", "coder", "failed: out of memory")),
        ({"state": "resting", "reason": "killed"}, ("!!", "coder", "resting: killed")),
        ({"state": "stopped"}, ("--", "coder", "stopped")),
    ],
)
def test_where_a_model_runs(change: dict[str, Any], finding: tuple[str, str, str]) -> None:
    assert found(health(models=[READY | change]))[-1] == finding


def test_a_slot_that_is_too_small_for_an_agent() -> None:
    mark, _, told = found(health(models=[READY | {"context": 4096}]))[-1]
    assert mark == "!!"
    assert told.splitlines()[1].startswith("coder has a context of only 4,096 tokens per request")


def test_it_runs_and_cannot_answer() -> None:
    assert found(health(status="unavailable", reason="our llama-server has failed: x"))[-1] == (
        "!!",
        "running",
        "cannot answer requests: our llama-server has failed: x",
    )
    assert found(health(url=None, backend=None, reason="unloaded; the next request loads it"))[
        -1
    ] == (
        "ok",
        "running",
        "ready: coder, unloaded; the next request loads it",
    )


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, text="not here"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"status": "ok"}),
    ],
)
def test_another_server_responds_there(answer: httpx.Response) -> None:
    mark, what, told = found(answer)[-1]
    assert (mark, what) == ("--", "running")
    assert told.startswith("another server responds at http://127.0.0.1:8081; ")


def test_what_is_printed() -> None:
    findings = [
        doctor.Finding("ok", "running", "ready"),
        doctor.Finding("!!", "a-model", "on the CPU\ntake another build"),
    ]
    head, *lines = doctor.report(findings).splitlines()
    assert head.startswith("llama-bridge ")
    assert lines == [
        "ok  running  ready",
        "!!  a-model  on the CPU",
        "             take another build",
        "1 problem found",
    ]
    assert doctor.report(findings[:1]).splitlines()[-1] == "no problems found"


@pytest.mark.parametrize(
    ("port", "model", "code"), [("1", "", 0), ("1", "/no/such.gguf", 1), ("x", "", 2)]
)
def test_as_a_command(
    port: str,
    model: str,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PROXY_PORT", port)
    monkeypatch.setenv("LLAMA_MODEL", model)
    with pytest.raises(SystemExit) as ended:
        main.main(["doctor"])
    assert ended.value.code == code
    said = capsys.readouterr()
    assert (
        said.err.startswith("llama-bridge: ")
        if code == 2
        else said.out.splitlines()[-1] == ("1 problem found" if code else "no problems found")
    )
