"""The server in the wheel as a process of its own."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from proxy.errors import ChildFailed
from proxy.llama_server import LaunchSpec, Supervisor, wheel_server
from proxy.llama_server.config import options
from proxy.llama_server.process.crash_diagnosis import diagnose
from tests.patience import HANGS
from tests.process.conftest import FAST, TINY, alive, nothing_left


def supervised(model: Path = TINY) -> Supervisor:
    return Supervisor(
        LaunchSpec(model, "tiny", flags=("-c", "32768", "--temp", "0", "-t", "1")),
        on_line=print,
        timeouts=FAST,
    )


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", wheel_server.__file__, *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
        env=dict(os.environ) | {"LLAMA_API_KEY": "k"},
    )


async def test_it_serves_the_tiny_model() -> None:
    async with supervised() as supervisor:
        address = await supervisor.ensure_ready()
        facts = supervisor.engine_info
        # Four requests at once, each with the whole context.
        assert (facts.device, facts.context, facts.slots) == ("CPU", 32768, 4)
        question = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
        async with httpx.AsyncClient(base_url=address.url, trust_env=False) as client:
            assert (await client.post("/v1/chat/completions", json=question)).status_code == 401
            client.headers["authorization"] = f"Bearer {address.key}"
            answers = await asyncio.gather(
                *(client.post("/v1/chat/completions", json=question) for _ in range(4))
            )
            assert [answer.status_code for answer in answers] == [200] * 4
            assert answers[0].json()["model"] == "tiny"
        shown = "".join(alive(supervisor.process_group))
        assert "--port" in shown
        assert address.key not in shown
    await nothing_left(supervisor.process_group)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (None, "no such file"),
        (b"hello", "model file damaged"),
        (TINY.read_bytes()[:200_000], "model file damaged"),
    ],
)
async def test_a_model_that_cannot_be_loaded_is_named(
    tmp_path: Path, content: bytes | None, cause: str
) -> None:
    model = tmp_path / "a model.gguf"
    if content is not None:
        model.write_bytes(content)
    async with supervised(model) as supervisor:
        with pytest.raises(ChildFailed, match=f"tiny could not be started: {cause}"):
            await supervisor.ensure_ready()
    await nothing_left(supervisor.process_group)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--bogus"], "error: invalid argument: --bogus"),
        (["-c"], "error: expected value for argument: -c"),
        (["-c", "many"], "error: invalid value for argument: -c many"),
        (["-fa", "maybe"], "error: invalid value for argument: -fa maybe"),
        (
            ["--chat-template-file", "/no/such"],
            "error: invalid value for argument: --chat-template-file /no/such",
        ),
        (
            ["--chat-template-kwargs", "[]"],
            "error: invalid value for argument: --chat-template-kwargs []",
        ),
        (["--spec-type", "magic"], "error: invalid value for argument: --spec-type magic"),
    ],
)
def test_a_bad_flag_is_reported_in_the_words_of_llama_server(
    arguments: list[str], said: str
) -> None:
    ended = run(*arguments)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == said


def test_a_taken_port_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run(
            "-m",
            str(TINY),
            "--alias",
            "a",
            "--host",
            "127.0.0.1",
            "--port",
            str(taken.getsockname()[1]),
            "-c",
            "512",
        )
    assert ended.returncode == 1
    assert diagnose(ended.stderr.splitlines(), ended.returncode).startswith("port in use")


def test_its_help_is_read_like_that_of_any_llama_server(capsys: pytest.CaptureFixture[str]) -> None:
    wheel_server.main(["--help"])
    told = options.read_help(capsys.readouterr().out)
    wheel = options.wheel_build().options
    assert told.keys() == wheel.keys()
    for name, option in wheel.items():
        assert (told[name].hint == "", set(told[name].words)) == (
            option.hint == "",
            set(option.words),
        ), name
    assert run("--help").returncode == 0
