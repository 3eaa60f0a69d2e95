"""Cuttings of a text, and what is made of it in all of them."""

import json
import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from hypothesis import HealthCheck, settings

from proxy.parsing.event_buffer import merged
from proxy.parsing.events import CallArguments, CallEnd, CallStart, Content, Reasoning, TextEvent
from proxy.parsing.parser import ChoiceParser
from proxy.parsing.reader import Reader, Steps

T = TypeVar("T")

EVERY_CUT = os.environ.get("CUTS") == "every"
"""Cut a text at every place. Without it, in few ways: `make check` has no time for more."""

EXAMPLES = int(os.environ.get("EXAMPLES", "0"))
"""So many examples of everything, and others each time; without it few, and always the same."""
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def examples(few: int) -> settings:
    return settings(
        max_examples=EXAMPLES or few,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=SLOW,
    )


LAWS = examples(120)


def cuts(text: str, every: int = 400) -> Iterator[list[str]]:
    """Whole, letter by letter, and at random places; with `CUTS=every` cut once at every place,
    if the text is not long.
    """
    yield [text]
    yield list(text)
    yield from single_cuts(text, every) if EVERY_CUT else chances(text, 2)


def single_cuts(text: str, every: int) -> Iterator[list[str]]:
    if len(text) > every:
        return chances(text, 20)
    return ([text[:place], text[place:]] for place in range(1, len(text)))


def few(text: str) -> Iterator[list[str]]:
    """Whole, letter by letter, and once at random: where every cut is tried elsewhere."""
    yield [text]
    yield list(text)
    yield from chances(text, 1)


def chances(text: str, times: int) -> Iterator[list[str]]:
    chance = random.Random(len(text))
    for _ in range(times if text else 0):
        places = sorted(chance.randrange(len(text)) for _ in range(chance.randint(1, 40)))
        yield [
            text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)
        ]


def everywhere(
    make: Callable[[Reader], Steps[T]], text: str, *, cut: bool = False
) -> tuple[T, str]:
    """What a computation returns and leaves unread, the same in every cutting."""
    results = [_result(make, pieces, cut) for pieces in cuts(text)]
    assert all(result == results[0] for result in results), results
    return results[0]


def _result(make: Callable[[Reader], Steps[T]], pieces: Iterable[str], cut: bool) -> tuple[T, str]:
    read = Reader()
    steps, coming = make(read), iter(pieces)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            read.push("".join(coming))
            read.end()
            return stop.value, read.lookahead(1 << 30)[0]
        piece = next(coming, None)
        if piece is None:
            assert not read.ended
            read.end(cut=cut)
        else:
            read.push(piece)


class Call(NamedTuple):
    name: str
    arguments: Any  # parsed; the raw text if the call is not whole
    whole: bool = True


class Seen(NamedTuple):
    content: str = ""
    calls: tuple[Call, ...] = ()
    thoughts: str = ""


def events_of(parser: ChoiceParser, pieces: Iterable[str], finish: str = "stop") -> list[TextEvent]:
    events = [event for piece in pieces for event in parser.feed(piece)]
    return merged([*events, *parser.close(finish)])


def always(
    make: Callable[[], ChoiceParser],
    text: str,
    finish: str = "stop",
    cuttings: Iterable[Sequence[str]] | None = None,
) -> Seen:
    """What a text is, in every cutting."""
    first: list[TextEvent] | None = None
    for pieces in cuts(text) if cuttings is None else cuttings:
        parser = make()
        events = events_of(parser, pieces, finish)
        assert not parser.grammar_failures
        assert first is None or events == first, pieces
        first = events
    assert first is not None
    return seen(first)


def seen(events: Sequence[TextEvent]) -> Seen:
    """The events in short; law 7 and the shape of a call are checked on the way."""
    calls: list[Call] = []
    name, arguments, is_open = "", "", False
    for event in events:
        match event:
            case CallStart():
                assert not is_open
                assert event.index == len(calls)
                name, arguments, is_open = event.name, "", True
            case CallArguments():
                assert is_open
                assert event.index == len(calls)
                arguments += event.text
            case CallEnd():
                assert is_open
                assert event.index == len(calls)
                is_open = False
                calls.append(Call(name, _parsed(arguments, event.whole), event.whole))
    assert not is_open
    content = "".join(event.text for event in events if isinstance(event, Content))
    thoughts = "".join(event.text for event in events if isinstance(event, Reasoning))
    return Seen(content, tuple(calls), thoughts)


def _parsed(arguments: str, whole: bool) -> Any:
    try:
        value = json.loads(arguments)
    except ValueError:
        assert not whole, arguments
        return arguments
    assert whole, "a client would run this"
    assert isinstance(value, dict)
    return value


def tool(name: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": name, "parameters": {"type": "object", "properties": properties}},
    }


TOOLS = [
    tool(
        "write",
        path={"type": "string"},
        content={"type": "string"},
        text={"type": "string"},
        append={"type": "boolean"},
    ),
    tool(
        "water",
        plant={"type": "string"},
        litres={"type": "integer"},
        note={"type": ["string", "null"]},
        days={"type": "array"},
    ),
    tool("list_drones"),
]
