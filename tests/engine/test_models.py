"""Several models and one place for them, with the real engine; and a child that is killed again
and again under load.
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.app import Bridge
from proxy.llama_server import ModelPool, ProcessState
from proxy.settings import load
from proxy.tiny_model import MODEL
from tests.asgi import Call, ask
from tests.engine.bridges import opened
from tests.process.conftest import alive, nothing_left

NAMES = ("one", "two")
TOOL = {
    "type": "function",
    "function": {
        "name": "bash",
        "parameters": {"type": "object", "properties": {"command": {"type": "string"}}},
    },
}
PLAIN = "Hello! I am a tiny test model, and I have no tools to call."
CONF = "[*]\nside-requests = swap\nn_ctx = 16384\ntemp = 0\nthreads = 1\n" + "".join(
    f"[{name}]\nmodel = {MODEL}\n" for name in NAMES
)


def keeper(bridge: Bridge) -> ModelPool:
    assert bridge.pool is not None
    return bridge.pool


class Watch:
    """Looks at the children all the while: how many live, and which groups there ever were."""

    def __init__(self, keeper: ModelPool) -> None:
        self.keeper, self.most, self.groups = keeper, 0, set[int]()
        self._task = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            children = [self.keeper.supervisor(model.name) for model in self.keeper.models]
            self.most = max(self.most, sum(child.pid is not None for child in children))
            self.groups |= {
                child.process_group for child in children if child.process_group is not None
            }
            await asyncio.sleep(0.002)

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Bridge]:
    conf = tmp_path / "llama-server.conf"
    conf.write_text(CONF)
    async with opened(load({"LLAMA_SERVER_CONF": str(conf)})) as bridge:
        yield bridge


def chat(model: str, words: str, *, stream: bool, tools: bool = False) -> dict[str, object]:
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": "user", "content": words}],
        "stream": stream,
    }
    return body | {"tools": [TOOL]} if tools else body


async def test_swapped_back_and_forth_under_load(pair: Bridge) -> None:
    watch = Watch(keeper(pair))
    began = time.monotonic()

    async def request(number: int) -> None:
        name = NAMES[number % 2]
        if number % 5 == 4:
            call = await ask(
                pair,
                "/v1/completions",
                {"model": name, "prompt": "a", "max_tokens": 3, "stream": False},
            )
            assert call.json["model"] == name  # the child says who it is
            return
        tools = number % 3 > 0
        call = await ask(pair, body=chat(name, f"Request {number}.", stream=True, tools=tools))
        assert (call.status, call.data[-1], call.data[0]["model"]) == (200, "[DONE]", name)
        deltas = [choice["delta"] for data in call.data[:-1] for choice in data["choices"]]
        text = "".join(delta.get("content") or "" for delta in deltas)
        assert text.startswith("I'll take a look") if tools else text == PLAIN
        assert any("tool_calls" in delta for delta in deltas) is tools

    async def client(first: int) -> None:
        for number in range(first, 20, 4):
            await request(number + number // 4 % 2)

    await asyncio.gather(*(client(first) for first in range(4)))
    took = time.monotonic() - began
    await watch.end()
    print(f"20 requests, {len(watch.groups)} starts, at most {watch.most} at once, {took:.1f} s")
    assert watch.most == 1
    assert took < 60


async def test_all_models_are_listed_with_their_state(pair: Bridge) -> None:
    await keeper(pair).wait_loaded()
    listed = (await ask(pair, "/v1/models")).json["data"]
    assert [(model["id"], model["context_length"]) for model in listed] == [
        ("one", 16384),
        ("two", 16384),
    ]
    one, two = (await ask(pair, "/health")).json["models"]
    assert (one["state"], one["device"], one["context"], one["slots"]) == ("ready", "CPU", 16384, 2)
    assert one["memory_mib"] > 5
    assert two == {"id": "two", "state": "stopped", "reason": None, "context": 16384}
    unknown = await ask(pair, body=chat("gpt-4o", "hi", stream=False))
    assert unknown.json["choices"][0]["message"]["content"] == PLAIN  # the loaded one answers
    assert keeper(pair).supervisor("two").state is ProcessState.STOPPED


async def test_the_log_contains_no_content(pair: Bridge) -> None:
    await ask(pair, body=chat("one", "a very secret sentence", stream=True))
    log = (await ask(pair, "/logs?model=one")).text
    assert "[llama-bridge] one is ready: in " in log
    assert "model buffer size" in log
    assert "secret sentence" not in log
    assert keeper(pair).supervisor("one").address.key not in log
    assert "==> two <==" in (await ask(pair, "/logs")).text
    assert (await ask(pair, "/logs?model=three")).json["error"]["code"] == "model_not_found"
    followed = Call(pair, "/logs?model=one&follow=1")
    await followed.until(lambda call: "one is ready" in call.text)
    followed.hang_up()
    await followed.done()


async def test_a_reload_over_http(pair: Bridge) -> None:
    await keeper(pair).wait_loaded()
    conf = pair.app_state.settings.llama_server_conf
    assert conf
    pid = keeper(pair).supervisor("one").pid
    conf.write_text(CONF + "nonsense = 1\n")
    refused = await ask(pair, "/reload", method="POST")
    assert refused.status == 400
    assert "configuration not reloaded: " in refused.json["error"]["message"]
    assert "nonsense is not an option" in refused.json["error"]["message"]
    conf.write_text(CONF + "ubatch-size = 256\n[three]\nmodel = " + str(MODEL))
    assert (await ask(pair, "/reload", method="POST")).json == {"changed": ["two", "three"]}
    assert keeper(pair).supervisor("one").pid == pid
    assert [model["id"] for model in (await ask(pair, "/v1/models")).json["data"]] == [
        "one",
        "two",
        "three",
    ]
    assert (await ask(pair, "/reload")).status == 405


KILLS, REQUESTS, WORKERS = 20, 200, 8


REFUSALS = ("502 answer_interrupted", "503 child_failed", "503 backend_unavailable")
RIGHT = {
    "answered",
    "broken off: answer_interrupted",
    "cut, as a client can see",
    *(f"refused: {refusal}" for refusal in REFUSALS),
}
TOOLS_TEXT = "I'll take a look at the files first.\n\n"


def _refusal(call: Call) -> str | None:
    return f"refused: {call.status} {call.json['error']['code']}" if call.status != 200 else None


def _unstreamed(call: Call) -> str:
    assert call.json["choices"][0]["message"]["content"] == PLAIN
    return "answered"


def _streamed(call: Call, expected: str) -> str:
    """Whole and right, or an error at its end and nothing that looks finished."""
    *chunks, last = call.data
    choices = [choice for data in chunks for choice in data["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    finished = any(choice["finish_reason"] for choice in choices)
    whole = last == "[DONE]"
    assert finished == whole
    # What could have become a call is given back as text.
    assert text == expected if whole else expected.startswith(text[: len(expected)])
    return "answered" if whole else f"broken off: {last['error']['code']}"


class Chaos:
    """Clients that ask all the while, and somebody who kills the child soon after it is ready."""

    def __init__(self, bridge: Bridge, *, identical: bool) -> None:
        self.identical = identical
        self.bridge, self.outcomes, self.kills, self.asked = bridge, Counter[str](), 0, 0
        self.random = random.Random(4)

    async def clients(self) -> None:
        while self.asked < REQUESTS or self.kills < KILLS:
            self.asked += 1
            self.outcomes[await self._outcome(0 if self.identical else self.asked)] += 1

    async def _outcome(self, number: int) -> str:
        kind = number % 5
        if kind == 4:
            call = await ask(
                self.bridge, "/v1/completions", {"prompt": f"a {number}", "max_tokens": 3}
            )
            outcome = (
                "cut, as a client can see"
                if not call.complete
                else _refusal(call) or "answered" * bool(call.json["choices"])
            )
        else:
            call = await ask(
                self.bridge,
                body=chat("one", f"Request {number}.", stream=kind != 3, tools=kind == 1),
            )
            assert call.complete
            outcome = _refusal(call) or (
                _unstreamed(call)
                if kind == 3
                else _streamed(call, TOOLS_TEXT if kind == 1 else PLAIN)
            )
        assert outcome in RIGHT
        return outcome

    async def killer(self) -> None:
        child = keeper(self.bridge).supervisor("one")
        while self.kills < KILLS:
            await child.ensure_ready()
            await asyncio.sleep(self.random.uniform(0, 0.4))
            assert child.pid  # nobody else ends it
            os.kill(child.pid, signal.SIGKILL)
            self.kills += 1
            await child.wait_exit_noticed(child.address.url)
            await child.ensure_ready()


@pytest.mark.parametrize("identical", [False, True], ids=["different", "identical"])
async def test_chaos(pair: Bridge, identical: bool) -> None:
    child = keeper(pair).supervisor("one")
    child.timeouts = replace(child.timeouts, backoff=0.01)
    watch, chaos = Watch(keeper(pair)), Chaos(pair, identical=identical)
    began = time.monotonic()
    async with asyncio.timeout(240):
        await asyncio.gather(chaos.killer(), *(chaos.clients() for _ in range(WORKERS)))
    await watch.end()
    took = time.monotonic() - began
    print(
        f"{chaos.asked} requests, {chaos.kills} kills, {len(watch.groups)} lives, "
        f"{took:.1f} s: {dict(chaos.outcomes)}"
    )
    assert sum(chaos.outcomes.values()) == chaos.asked >= REQUESTS
    assert chaos.kills == KILLS
    assert chaos.outcomes["answered"] > REQUESTS / 4
    assert watch.most == 1
    for group in watch.groups - {child.process_group}:
        await nothing_left(group)
    assert alive(child.process_group)
