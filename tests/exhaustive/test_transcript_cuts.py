"""Every transcript, wherever the network cuts it: on the pipeline alone, bytes in and bytes out."""

import json
from collections.abc import Iterable, Iterator

import pytest

from proxy.backends.base import Backend
from proxy.backends.provider import Wish
from proxy.chat_request.request import Question, read
from proxy.completion.answer_state import Keeping, Room
from proxy.completion.pipeline import Translation
from proxy.completion.request_stats import Record
from proxy.errors import BridgeError, Vanished
from proxy.protocols.openai_chat import Head, Stream
from proxy.web.state import House
from tests.asgi import Received
from tests.backends.test_transcripts import Answer, check, house, question
from tests.backends.transcripts import ANSWERS, Entry

CUTS = 100
"""So many single cuts of a stream; all of them where it has no more bytes."""
STREAMS = [entry for entry in ANSWERS if entry.streams and entry.status == 200]


def cuttings(body: bytes) -> Iterator[tuple[bytes, ...]]:
    """Whole and byte by byte, with either kind of line end; and cut once, at as many places in a
    long stream as in a short one.
    """
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
        lambda: state.parsers.parser(asked, backend),
        asked,
        Record("id", "POST", "/"),
        Keeping(Room()),
    )


def received(translation: Translation, pieces: Iterable[bytes], *, is_cut: bool) -> Received:
    """Return what the client gets: an error before the answer has begun is a status, and the end
    of the stream after that.
    """
    out = b""
    try:
        for piece in pieces:
            out += translation.feed(piece)
            while translation.is_behind:
                out += translation.feed()
            if translation.done:
                break
        if is_cut and not translation.done:
            raise Vanished("the backend broke the connection (connection lost)")
        out += translation.end()
    except BridgeError as error:
        if not translation.begun:
            headers = [(name.encode(), value.encode()) for name, value in error.headers.items()]
            return answer(
                error.status,
                json.dumps({"error": error.body()["error"]}).encode(),
                (b"content-type", b"application/json"),
                *headers,
            )
        out += translation.broken(error)
    return answer(200, out)


def answer(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> Received:
    return Received([{"status": status, "headers": headers}, {"body": body}])


@pytest.mark.parametrize("entry", STREAMS, ids=str)
async def test_every_stream_at_every_cut(entry: Entry) -> None:
    app, _ = house(entry.kind, {})
    backend = await app.house.backend(Wish())
    asked = read(json.dumps(question(entry, streamed=True)).encode())
    for pieces in cuttings(entry.body):
        got = received(pipeline(backend, asked, app.house), pieces, is_cut=entry.is_cut)
        check(entry, Answer(got, streamed=True), streamed=True)
