"""Cutting changes nothing: the same bytes of a backend are the same answer, wherever the network
cuts them.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from proxy.backends.error_mapping import map_error
from proxy.backends.response_reader import ResponseReader
from proxy.chat_request.request import parse
from proxy.completion.answer_state import AnswerState, MemoryBudget
from proxy.completion.pipeline import ResponsePipeline
from proxy.completion.request_stats import RequestStats
from proxy.dialects import Parser
from proxy.errors import AnswerInterrupted, BridgeError
from proxy.protocols.openai_chat import ChunkHead, CompletionWriter, StreamWriter
from tests.parsing.cuts import TOOLS
from tests.web.round_trip import Heard, Made, of_chunks, of_deltas, payloads


def _said(*deltas: Any, finish: str | None = None, index: int = 0) -> str:
    choices: list[dict[str, Any]] = [{"index": index, "delta": delta} for delta in deltas]
    if finish:
        choices.append({"index": index, "delta": {}, "finish_reason": finish})
    return "".join(
        f"data: {json.dumps({'choices': [choice]}, ensure_ascii=False)}\n\n" for choice in choices
    )


def _call(arguments: str, **more: Any) -> dict[str, Any]:
    return {
        "tool_calls": [
            {
                "index": 0,
                "function": {"arguments": arguments, **more},
                **({"id": "c"} if more else {}),
            }
        ]
    }


USAGE = 'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n'
DONE = "data: [DONE]\n\n"
LEAK = (
    "<tool_call>\n<function=write>\n<parameter=path>\né.txt\n</parameter>\n"
    "<parameter=content>\na < b 😀\n</parameter>\n</function>\n</tool_call>"
)

RECORDED = {
    "llama.cpp": (
        ":\n\n"
        + _said({"role": "assistant", "content": None})
        + _said(
            {"reasoning_content": "Hm … "}, {"reasoning_content": "né"}, {"content": "Grüße\u2028 "}
        )
        + ": ping\n\n"
        + _said(_call("", name="list_drones"), _call('{"ä'), _call('":"😀"}'), finish="tool_calls")
        + USAGE
        + DONE,
        [Heard("Grüße\u2028 ", "Hm … né", (Made("c", "list_drones", '{"ä":"😀"}'),), "tool_calls")],
    ),
    "a leak, in CRLF, with other fields": (
        (
            "event: message\nid: 1\n"
            + _said({"content": "é: "})
            + "data: junk\n\ndata:\n\n"
            + _said({"content": LEAK}, finish="stop")
        ).replace("\n", "\r\n"),
        [
            Heard(
                "é: ",
                "",
                (Made("", "write", '{"path":"é.txt","content":"a < b 😀"}'),),
                "tool_calls",
            )
        ],
    ),
    "two choices, in CR": (
        (
            _said({"content": "<think>ä"})
            + _said({"content": "ß"}, index=1)
            + _said({"content": "ö</think>\n\nü"}, finish="length")
            + _said(finish="eos", index=1)
            + DONE
        ).replace("\n", "\r"),
        [Heard("ü", "äö", (), "length"), Heard("ß", "", (), "stop")],
    ),
}


def _translation(
    writer: StreamWriter | CompletionWriter, fields: str = '"n": 2', scans: bool = True
) -> ResponsePipeline:
    question = parse(f'{{"messages": [], {fields}}}'.encode())
    make_parser = (lambda: Parser(TOOLS)) if scans else None
    return ResponsePipeline(
        ResponseReader(),
        map_error,
        writer,
        make_parser,
        question,
        RequestStats("id", "POST", "/"),
        AnswerState(MemoryBudget()),
    )


def _stream() -> StreamWriter:
    return StreamWriter(ChunkHead("chatcmpl-a", 1, "m", wants_usage=False))


def _answer(pieces: Iterable[bytes], choices: int) -> list[Heard]:
    translation = _translation(_stream())
    out = b"".join([*map(translation.feed, pieces), translation.end()])
    *chunks, done = payloads(out)
    assert done == "[DONE]"
    return [of_chunks(chunks, choice) for choice in range(choices)]


def _cuts(data: bytes) -> Iterator[list[bytes]]:
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]


def _without_our_ids(heard: Heard) -> Heard:
    return heard._replace(
        calls=tuple(call._replace(id=call.id.partition("call_")[0]) for call in heard.calls)
    )


def test_an_error_in_the_middle_cut_at_every_byte() -> None:
    recorded = (
        _said({"content": "é <tool_"}, {"content": "x"})
        + 'data: {"error":{"code":500,"message":"ö"}}\n\n'
        + _said({"content": "z"})
    )
    for pieces in _cuts(recorded.encode()):
        translation, out = _translation(_stream()), list[bytes]()
        with pytest.raises(BridgeError) as caught:
            out.extend(map(translation.feed, pieces))
        *chunks, error = payloads(b"".join(out) + translation.abort(caught.value))
        assert of_deltas([one["choices"][0]["delta"] for one in chunks]).content == "é <tool_x"
        assert error["error"]["message"] == "ö"


def test_what_is_known_of_an_answer_while_it_comes() -> None:
    translation = _translation(_stream())
    assert not translation.started
    translation.feed(b": ping\n\n")
    assert not translation.started
    translation.feed(_said({"role": "assistant"}).encode())
    assert (translation.started, translation.eof_seen, translation.complete) == (True, False, False)
    translation.feed((_said(finish="stop") + DONE).encode())
    assert (translation.eof_seen, translation.complete) == (True, False)
    translation.end()
    assert translation.complete


def test_a_backend_that_ends_without_a_finish_has_broken_off() -> None:
    for said in (
        "",
        DONE,
        USAGE,
        _said({"content": "a"}),
        _said({"content": "a"}, finish="stop") + _said({"content": "b"}, index=1),
    ):
        translation = _translation(_stream())
        translation.feed(said.encode())
        with pytest.raises(AnswerInterrupted):
            translation.end()
        assert not translation.complete


def test_without_a_parser_text_and_thoughts_pass_as_they_are() -> None:
    translation = _translation(_stream(), scans=False)
    said = _said(
        {"reasoning_content": "<think>"}, {"content": LEAK}, _call("{}", name="f"), finish="stop"
    )
    *chunks, _ = payloads(translation.feed(said.encode()) + translation.end())
    assert of_chunks(chunks) == Heard(LEAK, "<think>", (Made("c", "f", "{}"),), "tool_calls")


def test_calls_beyond_the_one_that_is_wanted_leave_no_trace() -> None:
    translation = _translation(_stream(), '"parallel_tool_calls": false')
    *chunks, _ = payloads(
        translation.feed(_said({"content": LEAK + LEAK}, finish="stop").encode())
        + translation.end()
    )
    assert [call.name for call in of_chunks(chunks).calls] == ["write"]


def test_what_the_record_knows_afterwards() -> None:
    record = RequestStats("id", "POST", "/")
    question = parse(b'{"messages": []}')
    translation = ResponsePipeline(
        ResponseReader(),
        map_error,
        _stream(),
        lambda: Parser(TOOLS),
        question,
        record,
        AnswerState(MemoryBudget()),
    )
    said = _said({"content": "Hi" + LEAK}, _call("{}", name="list_drones"), finish="stop")
    translation.feed(said.encode())
    translation.end()
    assert record.calls == {"native": 1, "parsed from text": 1}
    assert record.estimated
    assert record.usage is not None
    assert record.first_output_at is not None
    assert record.last_output_at is not None
    assert record.first_output_at <= record.last_output_at


def test_a_whole_that_breaks_off_raises_what_broke_it() -> None:
    translation = _translation(CompletionWriter(ChunkHead("chatcmpl-a", 1, "m", wants_usage=True)))
    translation.feed(_said({"content": "a"}).encode())
    error = AnswerInterrupted("gone")
    with pytest.raises(AnswerInterrupted) as caught:
        translation.abort(error)
    assert caught.value is error
