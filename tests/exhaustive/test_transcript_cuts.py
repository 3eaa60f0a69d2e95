"""Every transcript, wherever the network cuts it: on the pipeline alone, bytes in and bytes out."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from proxy.backends.base import Backend
from proxy.backends.place import Wish
from proxy.errors import BridgeError, Vanished
from proxy.protocols.openai_chat import Head, Stream
from proxy.requests.question import Question, read
from proxy.web.house import House
from proxy.web.keeping import Keeping, Room
from proxy.web.record import Record
from proxy.web.translation import Translation
from tests.backends.test_transcripts import house, question
from tests.backends.transcripts import ANSWERS, Entry
from tests.web.road import payloads

CUTS = 100
"""So many single cuts of a stream; all of them where it has no more bytes."""
STREAMS = [entry for entry in ANSWERS if entry.streams and entry.status == 200]


def cuttings(body: bytes) -> Iterator[tuple[bytes, ...]]:
    """Whole and byte by byte, with either kind of line end; and cut once, at as many places in a long stream as in a short one."""
    lines = body.replace(b"\r\n", b"\n")
    for version in {body, lines, lines.replace(b"\n", b"\r\n")}:
        yield (version,)
        yield tuple(version[at : at + 1] for at in range(len(version)))
    for at in range(1, len(body), 1 + len(body) // CUTS):
        yield body[:at], body[at:]


def pipeline(backend: Backend, asked: Question, state: House) -> Translation:
    return Translation(
        backend.reply(asked.tools),
        backend.meaning,
        Stream(Head("chatcmpl-a", 1, "m", wants_usage=True)),
        lambda: state.parser(asked, backend),
        asked,
        Record("id", "POST", "/"),
        Keeping(Room()),
    )


def sent(translation: Translation, pieces: Iterable[bytes], *, is_cut: bool) -> bytes:
    """What the client gets; an error that the backend reports, or a lost connection, is the end of it."""
    out = b""
    try:
        for piece in pieces:
            out += translation.feed(piece)
            while translation.is_behind:
                out += translation.feed()
            if translation.done:
                break
        if is_cut and not translation.done:
            raise Vanished("the connection was lost")
        return out + translation.end()
    except BridgeError as error:
        return out + translation.broken(error)


def meant(data: bytes) -> dict[str, Any]:
    """What a client makes of the bytes, without ids that are ours and without regard to how deltas are cut."""
    found: dict[str, Any] = {"text": "", "reasoning": "", "calls": {}, "finish": [], "usage": None, "error": None}
    for payload in payloads(data):
        if payload == "[DONE]":
            continue
        if "error" in payload:
            found["error"] = {key: payload["error"][key] for key in ("message", "type", "code")}
            continue
        found["usage"] = payload.get("usage", found["usage"])
        for choice in payload["choices"]:
            delta = choice["delta"]
            found["text"] += delta.get("content") or ""
            found["reasoning"] += delta.get("reasoning_content") or ""
            for call in delta.get("tool_calls", []):
                function = call["function"]
                known = found["calls"].setdefault(call["index"], {"name": function.get("name"), "arguments": ""})
                known["arguments"] += function["arguments"]
            if choice["finish_reason"] is not None:
                found["finish"].append(choice["finish_reason"])
    return found


@pytest.mark.parametrize("entry", STREAMS, ids=str)
async def test_every_stream_at_every_cut(entry: Entry) -> None:
    app, _ = house(entry.kind, {})
    backend = await app.house.backend(Wish())
    asked = read(json.dumps(question(entry, streamed=True)).encode())
    first, *others = (meant(sent(pipeline(backend, asked, app.house), pieces, is_cut=entry.is_cut)) for pieces in cuttings(entry.body))
    assert all(other == first for other in others)
    means = entry.means
    if "finish" in means:
        assert (first["text"], first["reasoning"], first["finish"]) == (means["text"], means.get("thoughts", ""), [means["finish"]])
        calls = list(first["calls"].values())[: len(means.get("calls", []))]
        assert [[call["name"], json.loads(call["arguments"])] for call in calls] == means.get("calls", [])
