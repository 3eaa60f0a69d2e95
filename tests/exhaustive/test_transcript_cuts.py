"""Every transcript, wherever the network cuts it: on the pipeline alone, bytes in and bytes out."""

import json
from collections.abc import Iterable, Iterator

import pytest

from proxy.backends.base import Backend
from proxy.backends.provider import RouteRequest
from proxy.chat_request.request import ChatRequest, parse
from proxy.completion.answer_state import AnswerState, MemoryBudget
from proxy.completion.pipeline import ResponsePipeline
from proxy.completion.request_stats import RequestStats
from proxy.errors import BackendDisconnected, BridgeError
from proxy.protocols.openai_chat import ChunkHead, StreamWriter
from proxy.web.state import AppState
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


def pipeline(backend: Backend, asked: ChatRequest, state: AppState) -> ResponsePipeline:
    return ResponsePipeline(
        backend.response_reader(asked.tools),
        backend.map_error,
        StreamWriter(ChunkHead("chatcmpl-a", 1, "m", wants_usage=True)),
        lambda: state.parsers.parser(asked, backend),
        asked,
        RequestStats("id", "POST", "/"),
        AnswerState(MemoryBudget()),
    )


def received(translation: ResponsePipeline, pieces: Iterable[bytes], *, is_cut: bool) -> Received:
    """Return what the client gets: an error before the answer has begun is a status, and the end
    of the stream after that.
    """
    out = b""
    try:
        for piece in pieces:
            out += translation.feed(piece)
            while translation.has_backlog:
                out += translation.feed()
            if translation.eof_seen:
                break
        if is_cut and not translation.eof_seen:
            raise BackendDisconnected("the backend broke the connection (connection lost)")
        out += translation.end()
    except BridgeError as error:
        if not translation.started:
            headers = [(name.encode(), value.encode()) for name, value in error.headers.items()]
            return answer(
                error.status,
                json.dumps({"error": error.body()["error"]}).encode(),
                (b"content-type", b"application/json"),
                *headers,
            )
        out += translation.abort(error)
    return answer(200, out)


def answer(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> Received:
    return Received([{"status": status, "headers": headers}, {"body": body}])


@pytest.mark.parametrize("entry", STREAMS, ids=str)
async def test_every_stream_at_every_cut(entry: Entry) -> None:
    app, _ = house(entry.kind, {})
    backend = await app.app_state.backend(RouteRequest())
    asked = parse(json.dumps(question(entry, streamed=True)).encode())
    for pieces in cuttings(entry.body):
        got = received(pipeline(backend, asked, app.app_state), pieces, is_cut=entry.is_cut)
        check(entry, Answer(got, streamed=True), streamed=True)
