"""Every kind of server, byte for byte: what its client gets is the same contract, wherever the
network cuts the bytes.
"""

import json
from typing import Any

import pytest

from proxy.app import Bridge, create_app
from proxy.backends import KINDS as KNOWN
from proxy.settings import load
from tests.asgi import Received, ask
from tests.backend import Backend
from tests.backends.transcripts import ANSWERS, KINDS, TABLE, Entry, entries

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {"type": "object", "properties": {"command": {"type": "string"}}},
        },
    }
    for name in ("bash", "my-server_doThing")
]
CHAT = "/v1/chat/completions"
FINISHES = {"stop", "length", "tool_calls", "content_filter"}


def house(kind: str, answers: dict[str, Any]) -> tuple[Bridge, Backend]:
    listed = next(entry for entry in entries(kind) if entry.lists_models)
    behind = Backend({"/v1/models": lambda _: listed.answer(), **answers})
    settings = load({"BACKEND_URL": "http://10.0.0.5:1", "BACKEND_KIND": kind, "BACKEND_MODEL": ""})
    return create_app(settings, transport=behind), behind


def question(entry: Entry, *, streamed: bool) -> dict[str, Any]:
    model = next(
        listed.means["models"][0][0] for listed in entries(entry.kind) if listed.lists_models
    )
    asked = {
        "model": model,
        "messages": [{"role": "user", "content": "?"}],
        "tools": TOOLS,
        **entry.asked,
    }
    return asked | ({"stream": True, "stream_options": {"include_usage": True}} if streamed else {})


class Answer:
    """What a client made of it, streamed or not."""

    def __init__(self, call: Received, *, streamed: bool) -> None:
        self.call = call
        self.error: dict[str, Any] | None = None
        self.text = self.thoughts = ""
        self.calls: list[dict[str, Any]] = []
        self.refusal: str | None = None
        self.finish: str | None = None
        self.usage: dict[str, Any] | None = None
        if call.status != 200:
            self.error = call.json["error"]
        elif streamed:
            self._stream()
        else:
            self._whole()

    def _whole(self) -> None:
        answer = self.call.json
        assert answer["object"] == "chat.completion"
        message = answer["choices"][0]["message"]
        self.text, self.thoughts = message["content"] or "", message.get("reasoning_content", "")
        self.refusal = message["refusal"]
        self.calls = [
            {"id": call["id"], **call["function"]} for call in message.get("tool_calls", [])
        ]
        self.finish, self.usage = answer["choices"][0]["finish_reason"], answer["usage"]

    def _stream(self) -> None:
        """Takes only what the strictest client takes."""
        *chunks, last = self.call.data
        if last != "[DONE]":
            self.error = last["error"]
        assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) <= 1
        for chunk in chunks:
            assert chunk["object"] == "chat.completion.chunk"
            self.usage = chunk.get("usage", self.usage)
            for choice in chunk["choices"]:
                assert self.finish is None
                self._delta(choice["delta"])
                self.finish = choice["finish_reason"]
        assert self.error is not None or chunks[-1]["choices"] == []

    def _delta(self, delta: dict[str, Any]) -> None:
        assert set(delta) <= {"role", "content", "reasoning_content", "refusal", "tool_calls"}
        self.text += delta.get("content", "")
        self.thoughts += delta.get("reasoning_content", "")
        if "refusal" in delta:
            self.refusal = (self.refusal or "") + delta["refusal"]
        for call in delta.get("tool_calls", []):
            if call["index"] == len(self.calls):
                assert call["type"] == "function"
                assert call["id"]
                self.calls.append(
                    {"id": call["id"], "name": call["function"]["name"], "arguments": ""}
                )
            else:
                assert set(call) == {"index", "function"}
                assert set(call["function"]) == {"arguments"}
            self.calls[call["index"]]["arguments"] += call["function"]["arguments"]


def check(entry: Entry, answer: Answer, *, streamed: bool) -> None:
    means = entry.means
    if "error" in means:
        check_refusal(means["error"], answer)
    elif "broken" in means:
        assert answer.error is not None
        assert means["broken"] in answer.error["message"]
        assert answer.finish is None
        # Where the break came with the first bytes, nothing had left yet.
        has_begun = answer.call.status == 200
        assert answer.text == (means["text"] if has_begun else "")
        assert streamed or not has_begun
    else:
        check_answer(means, answer, streamed=streamed)


def check_refusal(means: dict[str, Any], answer: Answer) -> None:
    error = answer.error
    assert error is not None
    assert set(error) >= {"message", "type", "param", "code"}
    assert answer.call.headers["content-type"] == "application/json"
    assert answer.call.headers.get("retry-after") == means.get("retry_after")
    assert means.get("has", "") in error["message"]
    told = {key: value for key, value in means.items() if key not in ("has", "retry_after")}
    assert {key: answer.call.status if key == "status" else error[key] for key in told} == told


def check_answer(means: dict[str, Any], answer: Answer, *, streamed: bool) -> None:
    assert answer.error is None
    assert (answer.text, answer.thoughts, answer.refusal) == (
        means["text"],
        means.get("thoughts", ""),
        means.get("refusal"),
    )
    whole, half = answer.calls[: len(means.get("calls", []))], means.get("half", 0)
    # In one piece it is left out, unless the length cut it.
    assert len(answer.calls) - len(whole) in ((half,) if streamed else (0, half))
    assert [[call["name"], json.loads(call["arguments"])] for call in whole] == means.get(
        "calls", []
    )
    assert len({call["id"] for call in answer.calls}) == len(answer.calls)
    assert means.get("ids", []) in ([], [call["id"] for call in whole])
    assert answer.finish == means["finish"]
    assert answer.finish in FINISHES
    assert answer.usage is not None
    if "usage" in means:
        details = answer.usage["prompt_tokens_details"]["cached_tokens"]
        assert [answer.usage["prompt_tokens"], answer.usage["completion_tokens"], details] == means[
            "usage"
        ]


async def answered(app: Bridge, entry: Entry, *, streamed: bool) -> Answer:
    return Answer(await ask(app, CHAT, question(entry, streamed=streamed)), streamed=streamed)


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("entry", ANSWERS, ids=str)
async def test_every_answer_in_one_piece_and_byte_by_byte(entry: Entry, streamed: bool) -> None:
    cuttings = [(entry.body,), tuple(entry.body[at : at + 1] for at in range(len(entry.body)))]
    app, behind = house(entry.kind, {CHAT: [entry.answer(*pieces) for pieces in cuttings]})
    for _ in cuttings:
        check(entry, await answered(app, entry, streamed=streamed), streamed=streamed)
    assert len(behind.questions()) == len(cuttings)


@pytest.mark.parametrize("entry", [entry for entry in TABLE if entry.lists_models], ids=str)
async def test_every_list_of_models(entry: Entry) -> None:
    app, _ = house(entry.kind, {"/v1/models": entry.answer()})
    listed = (await ask(app, "/v1/models")).json
    assert listed["object"] == "list"
    assert [[model["id"], model.get("context_length")] for model in listed["data"]] == entry.means[
        "models"
    ]
    for model in listed["data"]:
        assert set(model) >= {"id", "object", "created", "owned_by"}
        assert isinstance(model["created"], int)


def test_there_is_a_table_for_every_kind() -> None:
    assert sorted(kind.kind for kind in KNOWN) == KINDS
