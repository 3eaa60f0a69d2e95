"""Requests that share the engine's KV cache: none is killed by another one, and no conversation
is processed again.
"""

import asyncio
import contextlib
import functools
import logging
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy import app, banner
from proxy.app import Bridge
from proxy.settings import load
from proxy.web import inflight
from proxy.web.chat import Chat, StreamStartTimeouts
from tests.asgi import Call, ask
from tests.engine.bridges import child, opened
from tests.engine.conversation import CALL, FINAL, PLAIN, TOOLS, Answer, streamed
from tests.engine.slots import at_work
from tests.patience import until

WORD = "word "  # two tokens
USAGE = {"stream": True, "stream_options": {"include_usage": True}}


@contextlib.asynccontextmanager
async def configured(folder: Path, *lines: str) -> AsyncIterator[Bridge]:
    conf = folder / "llama-server.conf"
    conf.write_text("\n".join(["[*]", *lines]))
    async with opened(load({"LLAMA_SERVER_CONF": str(conf)})) as bridge:
        await child(bridge).ensure_ready()
        yield bridge


def chat(*messages: tuple[str, str], **more: Any) -> dict[str, Any]:
    return (
        {"messages": [{"role": role, "content": content} for role, content in messages]}
        | USAGE
        | more
    )


def long(words: int = 533, **more: Any) -> dict[str, Any]:
    return chat(("user", WORD * words), **{"ignore_eos": True, "max_tokens": 100} | more)


def usage(call: Call) -> tuple[int, int, int]:
    """Tokens of the prompt, of those known before, and of the answer.

    An answer that was cut off fails here.
    """
    figures = streamed(call).usage
    return (
        figures["prompt_tokens"],
        figures["prompt_tokens_details"]["cached_tokens"],
        figures["completion_tokens"],
    )


async def started(bridge: Bridge, **more: Any) -> Call:
    """An answer whose client stops reading, so that it does not end by itself, however fast the
    machine is.
    """
    call = Call(bridge, body=long(10, **more))
    await call.until(lambda call: len(call.messages) > 5)
    call.may_send.clear()
    return call


async def test_two_conversations_do_not_kill_each_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with configured(tmp_path, "ctx-size = 2048") as bridge:
        calls = await asyncio.gather(ask(bridge, body=long()), ask(bridge, body=long()))
        assert [usage(call)[::2] for call in calls] == [(1078, 100)] * 2
    assert caplog.text.count(" for its turn, ") == 1


async def test_four_steps_of_an_agent_on_the_defaults(leaking: Bridge) -> None:
    """The first turn with a title beside it, a sub-agent, and the next turn."""
    first = [("system", "You are a coding agent. " * 500), ("user", "List the files, please.")]
    title = chat(
        ("system", "You write a title. " * 100),
        ("user", "Write one."),
        ("user", "List the files, please."),
        max_tokens=8192,
    )
    main, beside = await asyncio.gather(
        ask(leaking, body=chat(*first, tools=TOOLS, max_tokens=8192)),
        ask(leaking, body=title),
    )
    assert streamed(main) == CALL
    assert streamed(beside) == Answer(PLAIN)
    sub = chat(
        ("system", "You are a sub-agent. " * 500),
        ("user", "Look at the files."),
        tools=TOOLS,
        max_tokens=8192,
    )
    assert streamed(await ask(leaking, body=sub)) == CALL
    call = {
        "id": "a",
        "type": "function",
        "function": {"name": "bash", "arguments": '{"command": "ls"}'},
    }
    again = chat(*first, tools=TOOLS, max_tokens=8192)
    again["messages"] += [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "a"},
    ]
    last = await ask(leaking, body=again)
    assert streamed(last).content == FINAL
    prompt, cached, _ = usage(last)
    assert prompt > 5000
    assert cached >= 0.95 * prompt


async def test_conversations_that_together_are_larger_than_the_cache_are_not_processed_again(
    tmp_path: Path,
) -> None:
    conversations = {name: [("user", f"{name} " + WORD * 1500)] for name in ("main", "other")}
    async with configured(tmp_path, "ctx-size = 5120") as bridge:
        for round in range(3):
            for messages in conversations.values():
                messages.append(("user", "more"))
                prompt, cached, _ = usage(
                    await ask(bridge, body=chat(*messages, max_tokens=500, ignore_eos=True))
                )
                assert prompt > 5120 / 2
                assert cached >= 0.95 * prompt or round == 0


@pytest.mark.parametrize(
    "lines",
    [
        ("parallel = 2",),
        ("parallel = 1",),
        ("parallel = 3", "kv-unified = true"),
        ("cache-ram = 0",),
    ],
)
async def test_other_slots_and_caches(tmp_path: Path, lines: tuple[str, ...]) -> None:
    async with configured(tmp_path, "ctx-size = 2048", *lines) as bridge:
        calls = [
            Call(bridge, body=long(words, max_tokens=limit))
            for words in (100, 250, 350)
            for limit in (50, 300)
        ]
        for call in calls:
            assert usage(await call.done())[2] in (50, 300)


async def test_what_passes_through_kills_no_chat(tmp_path: Path) -> None:
    async with configured(tmp_path, "ctx-size = 2048") as bridge:
        completion = {"prompt": WORD * 533, "max_tokens": 100, "ignore_eos": True}
        calls = [
            Call(bridge, body=long()),
            Call(bridge, "/v1/completions", body=completion),
            Call(bridge, body=long()),
            Call(
                bridge,
                "/v1/messages",
                body={"messages": [{"role": "user", "content": WORD * 533}], "max_tokens": 100},
            ),
            Call(bridge, "/tokenize", body={"content": "Hello"}),
        ]
        for call in calls:
            assert (await call.done()).status == 200
        assert (
            usage(calls[0])[2]
            == usage(calls[2])[2]
            == calls[1].json["usage"]["completion_tokens"]
            == 100
        )


async def test_a_prompt_that_never_fits_is_refused_while_others_run(tmp_path: Path) -> None:
    async with configured(tmp_path, "ctx-size = 2048") as bridge:
        running = await started(bridge, max_tokens=2000)
        refused = await ask(bridge, body=long(1200))
        assert (refused.status, refused.json["error"]["code"]) == (400, "context_length_exceeded")
        assert refused.json["error"]["n_ctx"] == 2048
        assert not running.task.done()
        running.hang_up()
        await running.done()


async def test_a_request_right_after_a_client_has_left(tmp_path: Path) -> None:
    """The engine notices late, and not at all while it says something to others: what was left
    still takes its part of the cache.
    """
    conversation = long(2000, max_tokens=3000)
    async with configured(tmp_path, "ctx-size = 8192") as bridge:
        await ask(bridge, body=conversation | {"max_tokens": 1})
        left = Call(bridge, "/v1/completions", body={"prompt": WORD * 3500, "max_tokens": 100})
        await at_work(bridge)
        left.hang_up()
        await left.done()
        assert usage(await ask(bridge, body=conversation))[2] == 3000


async def test_waiting_is_shown_and_a_waiting_client_may_leave(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(inflight, "REPORT_AFTER", 0.0)
    monkeypatch.setattr(
        app, "Chat", functools.partial(Chat, timeouts=StreamStartTimeouts(before_counting=0.1))
    )
    async with configured(tmp_path, "ctx-size = 16384") as bridge:
        running = await started(bridge, max_tokens=16000)
        waiting, leaving = Call(bridge, body=long(1000)), Call(bridge, body=long(1000))
        for call in (waiting, leaving):
            await call.until(lambda call: call.body == b": ping\n\n")
        sentence = (
            "waiting for 1 running request: 16,096 of 16,384 tokens of context are reserved, "
            "and it needs 2,176"
        )
        assert (await ask(bridge, "/health")).json["waiting"][0] == sentence
        await until(lambda: f" {sentence}" in caplog.text)
        passing = Call(bridge, "/v1/completions", body={"prompt": "a"})
        await until(lambda: len(bridge.app_state.inflight.waiting_reasons()) == 3)
        shown = (await ask(bridge, "/health")).json["waiting"]
        assert shown[2].endswith("and it needs 16,384")
        for call in (leaving, passing):
            call.hang_up()
            await call.done()
        assert len((await ask(bridge, "/health")).json["waiting"]) == 1
        running.hang_up()
        await running.done()
        assert usage(await waiting.done())[2] == 100


async def test_waiting_requests_yield_to_shutdown(tmp_path: Path) -> None:
    async with configured(tmp_path, "ctx-size = 4096") as bridge:
        running = await started(bridge, max_tokens=4000)
        waiting = Call(bridge, body=long(1000))
        await asyncio.sleep(0.2)
        assert not waiting.messages
        bridge.close()
        running.may_send.set()
        assert (await waiting.done()).json["error"]["code"] == "stopping"
        await running.done()


async def test_the_child_dies_while_a_request_waits(tmp_path: Path) -> None:
    async with configured(tmp_path, "ctx-size = 8192") as bridge:
        running = await started(bridge, max_tokens=8000)
        waiting = Call(bridge, body=long(100))
        await asyncio.sleep(0.1)
        assert not waiting.messages
        pid = child(bridge).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        running.may_send.set()
        await running.done()
        assert usage(await waiting.done())[2] == 100


@pytest.mark.parametrize(
    ("lines", "context", "slots"),
    [
        ((), 32768, 2),
        (("ctx-size = 8192", "parallel = 4"), 2048, 4),
        (("ctx-size = 8192", "kv-unified-per-slot = 3072"), 3072, 2),
        (("kv-unified-per-slot = 3072",), 3072, 2),
    ],
)
async def test_the_reported_context_is_that_of_one_conversation(
    tmp_path: Path, lines: tuple[str, ...], context: int, slots: int
) -> None:
    async with configured(tmp_path, *lines) as bridge:
        assert (await ask(bridge, "/v1/models")).json["data"][0]["context_length"] == context
        health = (await ask(bridge, "/health")).json
        assert health["context"] == context
        assert [(model["context"], model["slots"]) for model in health["models"]] == [
            (context, slots)
        ]
        assert f'"context": {context},' in banner.text(
            "http://127.0.0.1:1", None, await bridge.health.report()
        )
        assert bridge.pool is not None
        assert bridge.pool.models[0].context == context  # known before the start
