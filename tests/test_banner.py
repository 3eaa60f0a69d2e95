"""The startup banner: correct, with a curl command and a configuration that can be pasted."""

import itertools
import json
import shlex
import socket
from dataclasses import replace
from typing import Any

import pytest

from proxy import banner
from proxy.settings import load
from proxy.web.health import HealthReport
from tests import jsonc

READY = HealthReport("ok", "llama_cpp", "http://127.0.0.1:9/v1", "qwen", 32_768, device="CUDA0")
HERE = "http://127.0.0.1:8081"


def pasted(text: str) -> tuple[list[str], Any]:
    """Return the words of the curl command, and the parsed configuration, of a banner."""
    (command,) = [line for line in text.splitlines() if line.startswith("  curl ")]
    begin, end = text.index("\n{\n") + 1, text.index("\n}\n") + 2
    return shlex.split(command), jsonc.parsed(text[begin:end])


def test_where_it_listens() -> None:
    def at(host: str) -> str:
        return banner.address_for_clients(load({"PROXY_HOST": host}), 99)

    assert at("127.0.0.1") == "http://127.0.0.1:99"
    assert at("localhost") == "http://localhost:99"
    assert at("::1") == "http://[::1]:99"
    assert at("192.168.1.5") == "http://192.168.1.5:99"


class Probe:
    """Replacement for `socket.socket` that reports `address`, or no network if it is None."""

    def __init__(self, address: str | None) -> None:
        self.address = address
        self.asked: list[tuple[int, int]] = []

    def __call__(self, family: int, kind: int) -> "Probe":
        self.asked.append((family, kind))
        return self

    def __enter__(self) -> "Probe":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def connect(self, _: tuple[str, int]) -> None:
        if self.address is None:
            raise OSError("Network is unreachable")

    def getsockname(self) -> tuple[str, int]:
        assert self.address is not None
        return self.address, 40000


@pytest.mark.parametrize(
    ("host", "own", "family", "address"),
    [
        ("0.0.0.0", "192.168.1.5", socket.AF_INET, "http://192.168.1.5:8081"),
        ("0.0.0.0", None, socket.AF_INET, "http://127.0.0.1:8081"),
        ("::", "fd00::5", socket.AF_INET6, "http://[fd00::5]:8081"),
        ("::", None, socket.AF_INET6, "http://[::1]:8081"),
    ],
)
def test_who_listens_everywhere_names_an_address_that_others_can_use(
    host: str, own: str | None, family: int, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = Probe(own)
    monkeypatch.setattr("proxy.banner.socket.socket", probe)
    assert banner.address_for_clients(load({"PROXY_HOST": host}), 8081) == address
    assert probe.asked == [(family, socket.SOCK_DGRAM)]


def test_a_real_machine_has_an_address_of_that_kind() -> None:
    found = (
        banner.address_for_clients(load({"PROXY_HOST": "0.0.0.0"}), 1)
        .removeprefix("http://")
        .removesuffix(":1")
    )
    assert socket.inet_aton(found) != socket.inet_aton("0.0.0.0")


def test_when_it_is_ready() -> None:
    lines = banner.text(HERE, None, READY).splitlines()
    assert lines[:3] == [
        "llama-bridge listens on http://127.0.0.1:8081/v1",
        "  backend  llama_cpp at http://127.0.0.1:9/v1",
        "  model    qwen on CUDA0, context 32,768 tokens",
    ]
    assert lines[-1] == "Press Ctrl-C to stop."


def test_what_is_unknown_is_not_reported() -> None:
    text = banner.text(HERE, None, HealthReport("ok", "generic", "https://h/v1"))
    assert text.splitlines()[2] == "  model    chosen by the client; see GET /v1/models"
    command, config = pasted(text)
    assert json.loads(command[-1])["model"] == "your-model"
    assert config["model"] == "llama-bridge/your-model"
    for shape in ("provider", "providers"):
        assert config[shape]["llama-bridge"]["models"]["your-model"]["limit"] == {
            "context": 32_768,
            "output": 8_192,
        }


def test_image_input_of_a_model_is_shown_to_the_client() -> None:
    _, config = pasted(banner.text(HERE, None, replace(READY, inputs=("text", "image"))))
    assert config["provider"]["llama-bridge"]["models"]["qwen"]["modalities"] == {
        "input": ["text", "image"],
        "output": ["text"],
    }


def test_what_is_to_be_done_before_it_serves_well() -> None:
    lines = banner.text(
        HERE, None, HealthReport("ok", "zen", "https://h/v1", reason="zen needs your own key")
    ).splitlines()
    assert lines[3] == "  warning  zen needs your own key"


def test_when_it_is_not_ready() -> None:
    text = banner.text(
        HERE, None, HealthReport("unavailable", reason="cannot connect to http://127.0.0.1:9")
    )
    assert text.splitlines()[:5] == [
        "llama-bridge listens on http://127.0.0.1:8081/v1",
        "  not ready yet: cannot connect to http://127.0.0.1:9",
        "  requests work as soon as the backend responds; see GET /health",
        "  replace your-model below with a name from GET /v1/models",
        "  status   http://127.0.0.1:8081/ in a browser",
    ]
    assert pasted(text)[0][0] == "curl"


@pytest.mark.parametrize(
    "report",
    [
        HealthReport("unavailable", model="qwen"),
        HealthReport("unavailable", models=[{"id": "qwen"}, {"id": "b"}]),
    ],
)
def test_a_name_that_is_known_before_it_is_ready(report: HealthReport) -> None:
    text = banner.text(HERE, None, report)
    assert "your-model" not in text
    assert pasted(text)[1]["model"] == "llama-bridge/qwen"


@pytest.mark.parametrize(
    "model", ["qwen", "org/Qwen3 Coder:30b", "l'été", 'a"b\\c', "$(rm) `x` !!"]
)
@pytest.mark.parametrize("key", [None, "lb-secret", "it's $HOME"])
@pytest.mark.parametrize("address", [HERE, "http://[fd00::5]:8081"])
def test_both_can_be_pasted(model: str, key: str | None, address: str) -> None:
    command, config = pasted(
        banner.text(address, key, HealthReport("ok", "llama_cpp", "u", model, 4096))
    )
    assert command[:2] == ["curl", f"{address}/v1/chat/completions"]
    headers = [word for option, word in itertools.pairwise(command) if option == "-H"]
    assert headers == [
        *([f"authorization: Bearer {key}"] if key else []),
        "content-type: application/json",
    ]
    question = json.loads(command[command.index("-d") + 1])
    assert (question["model"], question["tools"][0]["function"]["name"]) == (model, "bash")
    first, second = config["provider"]["llama-bridge"], config["providers"]["llama-bridge"]
    assert (
        first["options"]
        == second["settings"]
        == {"baseURL": f"{address}/v1", "apiKey": key or "not-needed"}
    )
    assert list(first["models"]) == list(second["models"]) == [model]
    assert config["model"] == config["small_model"] == f"llama-bridge/{model}"


@pytest.mark.parametrize(
    ("report", "context"),
    [
        (
            HealthReport(
                "ok", model="qwen", context=8192, models=[{"id": "qwen", "context": 4096}]
            ),
            8192,
        ),
        (
            HealthReport(
                "unavailable",
                models=[{"id": "qwen", "context": 4096}, {"id": "b", "context": 2048}],
            ),
            4096,
        ),
        (
            HealthReport(
                "ok",
                model="b",
                models=[{"id": "qwen", "context": 4096}, {"id": "b", "context": 2048}],
            ),
            2048,
        ),
        (HealthReport("unavailable", models=[{"id": "qwen", "context": None}]), 32768),
        (HealthReport("unavailable"), 32768),
    ],
)
def test_the_context_of_one_conversation_also_before_it_is_ready(
    report: HealthReport, context: int
) -> None:
    assert f'"context": {context},' in banner.text(HERE, None, report)


def test_the_dashboard_and_the_tiny_model_are_explained_in_the_banner() -> None:
    assert f"  status   {HERE}/ in a browser\n" in banner.text(HERE, None, READY)
    assert f"  status   {HERE}/ in a browser (any user name, the key as password)\n" in banner.text(
        HERE, "lb-x", READY
    )
    assert "LLAMA_MODEL" not in banner.text(HERE, None, READY)
    assert "LLAMA_MODEL=/path/to/model.gguf" in banner.text(
        HERE, None, replace(READY, model="tiny-toolcaller")
    )


def test_where_nothing_could_be_started_the_reason_is_all_that_is_shown() -> None:
    text = banner.text(
        HERE,
        None,
        HealthReport(
            "unavailable",
            reason="there is no file /x.gguf",
            models=[{"id": "x", "state": "failed"}],
        ),
    )
    assert text.splitlines() == [
        "llama-bridge listens on http://127.0.0.1:8081/v1",
        "  cannot serve: there is no file /x.gguf",
        "",
        "Press Ctrl-C to stop.",
    ]


def test_an_unused_gpu_makes_the_command_for_it_the_last_line() -> None:
    model = {"id": "x", "state": "ready", "warning": "not used", "cure": "python -m pip install x"}
    lines = banner.text(
        HERE, None, replace(READY, models=[{"id": "y", "state": "stopped"}, model])
    ).splitlines()
    assert lines[-2:] == [
        "A GPU is present but unused. To install an engine that uses it:",
        "  python -m pip install x",
    ]
