"""LangChain's ChatOpenAI and the AI SDK, each in an environment of its own, in front of the whole
proxy before every kind of server.

`make test-clients`. Behind the proxy each kind plays the table of its bytes; what it is, the proxy
finds out itself.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import environments
from tests.acceptance.processes import bare_environment
from tests.acceptance.replay import model_of, replaying
from tests.acceptance.roads import proxy
from tests.backends.test_transcripts import TOOLS
from tests.backends.transcripts import ANSWERS, KINDS, Entry

HERE = Path(__file__).parent
MINUTES = 5
LANGCHAIN = "langchain-openai==1.7.3"
AI_SDKS = {
    "ai-sdk-6": ("ai@6.0.322", "@ai-sdk/openai-compatible@2.0.87"),
    "ai-sdk-7": ("ai@7.0.173", "@ai-sdk/openai-compatible@3.0.92"),
}
CLIENTS = ("langchain", *AI_SDKS)
WAYS = [(entry, streamed) for entry in ANSWERS for streamed in (True, False)]


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with contextlib.ExitStack() as stack:
        homes = tmp_path_factory.mktemp("clients")
        urls: dict[str, str] = {}
        for kind in KINDS:
            behind = stack.enter_context(replaying(kind))
            _, front = stack.enter_context(proxy(kind, homes / kind, BACKEND_URL=behind))
            urls[kind] = f"{front.url}/v1"
        yield urls


@pytest.fixture(scope="module", params=CLIENTS)
def client(
    request: pytest.FixtureRequest, urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, Any]]:
    """What one client made of every answer."""
    name = str(request.param)
    if name == "langchain":
        command: list[str | Path] = [
            environments.python(LANGCHAIN.replace("==", "-"), LANGCHAIN),
            HERE / "langchain_client.py",
        ]
    else:
        node, modules = environments.node(
            "-".join([name, AI_SDKS[name][1].rpartition("@")[2]]), *AI_SDKS[name]
        )
        command = [node, HERE / "ai_sdk_client.mjs", modules]
    home = tmp_path_factory.mktemp(name)
    return name, dict(zip(map(str, WAYS), answers(command, urls, home), strict=True))


def answers(command: Sequence[str | Path], urls: dict[str, str], home: Path) -> list[Any]:
    questions = [
        {
            "url": urls[entry.kind],
            "model": model_of(entry),
            "name": entry.name,
            "tools": TOOLS,
            "asked": entry.asked,
            "streamed": streamed,
        }
        for entry, streamed in WAYS
    ]
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    ran = subprocess.run(
        command,
        input=lines,
        capture_output=True,
        text=True,
        timeout=MINUTES * 60,
        env=bare_environment(home),
        cwd=home,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-6_000:]
    return [json.loads(line) for line in ran.stdout.rstrip("\n").split("\n")]


@pytest.mark.parametrize(("entry", "streamed"), WAYS, ids=str)
def test_what_it_makes_of_every_answer(
    client: tuple[str, dict[str, Any]], entry: Entry, streamed: bool
) -> None:
    name, made = client
    means, got = entry.means, made[str((entry, streamed))]
    if "finish" not in means:
        assert got["error"], got
        assert means.get("broken", "") in got["error"]
        assert "error" not in means or got["status"] == means["error"]["status"]
        return
    assert "error" not in got, got
    if "refusal" in means and got["finish"] == "content-filter":  # the newest AI SDK reads it so
        assert got["text"] == means["refusal"]
        return
    assert (got["text"] or "") == means["text"]
    assert got["calls"][: len(means.get("calls", []))] == means.get("calls", [])
    assert got["finish"].replace("-", "_") == means["finish"]
    # LangChain knows no thoughts.
    assert name == "langchain" or got["thoughts"] == means.get("thoughts", "")
    assert "usage" not in means or got["usage"] == means["usage"][:2]
