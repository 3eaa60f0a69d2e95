"""Streaming without delay: the client receives each piece before the backend sends the next."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.asgi import Call
from tests.backend import END, ROLE, Piece, chunk, stream, text
from tests.parsing.cuts import TOOLS
from tests.web.round_trip import Road, heard, native, of_deltas, payloads
from tests.web.test_chat_calls import letters

LINE = "    if a < b and b > c: x = '</tag>'  # é\n"
LONG = LINE * (50_000 // len(LINE))
OPENED = (
    "Writing.\n<tool_call>\n<function=write>\n<parameter=path>\na.txt\n</parameter>\n"
    "<parameter=content>\n"
)
CLOSED = "\n</parameter>\n</function>\n</tool_call>"
LONG_JSON = json.dumps(LONG, ensure_ascii=False)[1:-1]


def _so_far(call: Call) -> Any:
    """Return the deltas that have arrived so far, joined."""
    deltas = [choice["delta"] for one in payloads(call.body) for choice in one["choices"]]
    return of_deltas(deltas or [{"role": "assistant", "content": ""}])


async def _meanwhile(
    before: list[Piece], after: list[Piece], arrived: Callable[[Any], bool]
) -> Any:
    """Return the answer to a request whose backend pauses between `before` and `after`.

    The backend continues only when `arrived` is true of what the client has received.
    """
    pause = asyncio.Event()
    call = Road(stream(ROLE, *before, pause, *after, *END)).begin(tools=TOOLS)
    await call.until(lambda call: bool(call.messages) and arrived(_so_far(call)))
    assert not call.complete
    pause.set()
    return heard(await call.done())


@pytest.mark.parametrize("first", ["Hello", "a < b", "é", "`", "\n\nx", "I <think", "2 {"])
async def test_text_arrives_before_the_next_chunk(first: str) -> None:
    answer = await _meanwhile(
        text("Well: ", first),
        text(" …"),
        lambda heard: heard.content.startswith("Well: " + first[:2]),
    )
    assert answer.content == f"Well: {first} …"


def _has(word: str, call: Call) -> bool:
    return word in call.text


async def test_each_word_arrives_on_its_own() -> None:
    words = [f"word{number} " for number in range(20)]
    pauses = [asyncio.Event() for _ in words]
    pieces = [
        piece for word, pause in zip(words, pauses, strict=True) for piece in (*text(word), pause)
    ]
    call = Road(stream(ROLE, *pieces, *END)).begin(tools=TOOLS)
    for word, pause in zip(words, pauses, strict=True):
        await call.until(partial(_has, word.rstrip()))
        assert f"word{int(word[4:]) + 1}" not in call.text
        pause.set()
    assert heard(await call.done()).content == "".join(words)


@pytest.mark.parametrize(
    ("opened", "said", "closed"),
    [
        (OPENED, LONG, CLOSED),
        (
            '<tool_call>\n{"name": "write", "arguments": {"path": "a.txt", "content": "',
            LONG_JSON,
            '"}}\n</tool_call>',
        ),
    ],
    ids=["xml", "json"],
)
async def test_most_of_a_long_argument_has_left_while_the_model_still_writes_it(
    opened: str, said: str, closed: str
) -> None:
    before, after = letters(opened + said, 100), letters(LINE.strip() + closed)
    answer = await _meanwhile(
        before,
        after,
        lambda heard: len(heard.calls) == 1 and len(heard.calls[0].arguments) > 49_000,
    )
    assert answer.made == [("write", {"path": "a.txt", "content": LONG + LINE.strip()})]


async def test_most_of_a_native_argument_has_left_while_the_model_still_writes_it() -> None:
    pieces = [native(0, LONG_JSON[at : at + 100]) for at in range(0, len(LONG_JSON), 100)]
    before: list[Piece] = [
        native(0, '{"path": "a.txt", "content": "', id="c", name="write"),
        *pieces,
    ]
    answer = await _meanwhile(
        before,
        [native(0, '"}')],
        lambda heard: heard.calls and len(heard.calls[0].arguments) > 50_000,
    )
    assert answer.made == [("write", {"path": "a.txt", "content": LONG})]


@pytest.mark.parametrize("tools", [TOOLS, None])
@pytest.mark.parametrize("key", ["content", "reasoning_content"])
async def test_thoughts_stream(key: str, tools: Any) -> None:
    opened, closed = ("<think>", "</think>") if key == "content" else ("", "")
    pause = asyncio.Event()
    road = Road(
        stream(
            *letters(opened + LINE * 20 + "and", 50, key=key),
            pause,
            *letters(f" so{closed}", key=key),
            *text("So."),
            *END,
        )
    )
    call = road.begin(tools=tools)
    await call.until(lambda call: bool(call.body) and _so_far(call).reasoning.endswith("and"))
    pause.set()
    answer = heard(await call.done())
    assert (answer.content, answer.reasoning.lstrip()) == ("So.", (LINE * 20 + "and so").lstrip())


async def test_the_name_of_a_call_arrives_before_its_arguments() -> None:
    answer = await _meanwhile(
        letters(OPENED[:-30], 9),
        letters(OPENED[-30:] + "x" + CLOSED),
        lambda heard: bool(heard.calls),
    )
    assert answer.made == [("write", {"path": "a.txt", "content": "x"})]


async def test_the_last_brace_of_a_call_leaves_when_the_next_one_begins() -> None:
    before: list[Piece] = [
        native(0, "{}", id="c", name="list_drones"),
        native(1, '{"a":', id="d", name="list_drones"),
    ]
    answer = await _meanwhile(
        before, [native(1, "1}")], lambda heard: heard.calls and heard.calls[0].arguments == "{}"
    )
    assert len(answer.calls) == 2


async def test_two_clients_do_not_wait_for_each_other() -> None:
    pause = asyncio.Event()
    road = Road(stream(*text("slow"), pause, *END), stream(*text("quick"), *END))
    slow = road.begin()
    await slow.until(lambda call: "slow" in call.text)
    assert heard(await road.ask()).content == "quick"
    assert not slow.complete
    pause.set()
    assert heard(await slow.done()).content == "slow"


async def test_a_piece_that_holds_many_chunks_leaves_as_one() -> None:
    """Chunks that arrive together are written together, so that a slow client can keep up."""
    many = b"".join(chunk({"content": "x"}) for _ in range(100))
    call = await Road(stream(ROLE, many, *END)).ask()
    assert heard(call).content == "x" * 100
    assert len(call.messages) < 8
