"""One per answer, no I/O: bytes of the backend → chunks → events → a parser per choice → bytes for the client."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from proxy.backends.reply import Reply
from proxy.dialects import Parser
from proxy.errors import BridgeError, BrokenOff
from proxy.protocols.openai_chat import FINISH_REASONS, Stream, Whole
from proxy.requests.notices import notice
from proxy.requests.question import Question
from proxy.stream import sse
from proxy.stream.chunks import Chunks
from proxy.stream.events import (
    CallArguments,
    CallEnd,
    CallStart,
    Content,
    Failed,
    Finish,
    Logprobs,
    Progress,
    Reasoning,
    TextEvent,
    Usage,
)
from proxy.stream.ids import new_id
from proxy.web.record import Record

MakeParser = Callable[[], Parser]
Meaning = Callable[[int, bytes, Mapping[str, str]], BridgeError]
_BYTES_PER_TOKEN = 4
WHOLE_LIMIT = 32 * 1024 * 1024  # of an answer that leaves in one piece


class Choice:
    """What the backend says and what we find in its text, numbered together: indexes 0, 1, 2 …, ids once."""

    def __init__(self, parser: Parser | None, question: Question, ids: set[str], record: Record) -> None:
        self.finish: str | None = None
        self.announced = 0
        self.whole = 0
        self._parser = parser
        self._most = 1 if question.one_call else None
        self._ids = ids
        self._record = record
        self._numbers: dict[tuple[str, int], int | None] = {}

    def take(self, event: TextEvent | Logprobs | Finish) -> Iterable[TextEvent | Logprobs]:
        match event:
            case Content(text) if self._parser is not None:
                return self._numbered("ours", self._parser.feed(text))
            case Reasoning(text) if self._parser is not None:
                return self._numbered("ours", self._parser.think(text))
            case CallStart():
                released = self._numbered("ours", self._parser.called()) if self._parser is not None else []
                return [*released, *self._numbered("theirs", [event])]
            case CallArguments() | CallEnd():
                return self._numbered("theirs", [event])
            case Content() | Reasoning() | Logprobs():
                return [event]
            case _:
                self.finish = event.reason
                return []

    def close(self, finish: str) -> Iterable[TextEvent]:
        return self._numbered("ours", self._parser.close(finish)) if self._parser is not None else []

    def _numbered(self, whose: str, events: Iterable[TextEvent]) -> list[TextEvent]:
        numbered: list[TextEvent] = []
        for event in events:
            match event:
                case CallStart(index, id, name, source):
                    self._numbers[whose, index] = number = None if self.announced == self._most else self.announced
                    if number is not None:
                        self.announced += 1
                        self._record.calls[source] += 1
                        numbered.append(CallStart(number, self._id(id), name, source))
                case CallArguments(index, text):
                    if (number := self._numbers[whose, index]) is not None:
                        numbered.append(CallArguments(number, text))
                case CallEnd(index, whole):
                    if (number := self._numbers[whose, index]) is not None:
                        self.whole += whole
                        numbered.append(CallEnd(number, whole))
                case _:
                    numbered.append(event)
        return numbered

    def _id(self, given: str | None) -> str:
        """The model's own id, unless the conversation has it already: clients and templates tell calls apart by it."""
        id = given if given and given not in self._ids else new_id("call_")
        self._ids.add(id)
        return id


class Translation:
    def __init__(
        self,
        reply: Reply,
        meaning: Meaning,
        writer: Stream | Whole,
        make_parser: MakeParser | None,
        question: Question,
        record: Record,
    ) -> None:
        self.begun = False  # the backend has said something that is no error
        self.done = False  # it has said that there is no more
        self.finished = False  # the answer is whole
        self._reply = reply
        self._meaning = meaning
        self._writer = writer
        self._make_parser = make_parser
        self._question = question
        self._record = record
        self._decoder = sse.Decoder()
        self._chunks = Chunks()
        self._choices: dict[int, Choice] = {}
        self._ids = set(question.used_ids)

    def feed(self, data: bytes) -> bytes:
        """What the client gets for these bytes. Raises the error that the backend reports in the middle of its answer."""
        try:
            payloads = self._decoder.feed(data)
        except sse.LineTooLong as error:
            raise BrokenOff(f"the backend sent {error} (connection lost)") from None
        self._read(payloads)
        return self._writer.take()

    def whole(self, completion: dict[str, Any]) -> bytes:
        """An answer that came all at once."""
        self._say(completion)
        return self.end()

    def end(self) -> bytes:
        """The backend has no more to say."""
        self._read(self._decoder.close())
        if not self._is_finished(choices=1):  # some make one answer where several were asked for
            raise BrokenOff("the backend ended its answer before it was finished (connection lost)")
        return self._finish()

    def _is_finished(self, choices: int) -> bool:
        return len(self._choices) >= choices and all(choice.finish is not None for choice in self._choices.values())

    def _finish(self) -> bytes:
        self.finished = True
        for index, choice in self._choices.items():
            finish = choice.finish or "stop"
            self._write(index, choice.close(finish))
            if finish not in FINISH_REASONS or finish == "tool_calls":
                finish = "stop"
            self._writer.finish(index, "tool_calls" if choice.whole and finish != "length" else finish)
        return self._ended()

    def sign_of_life(self, sentence: Callable[[str], str | None]) -> bytes:
        """For a person who waits: what is being done, as a thought. A comment once the answer has begun."""
        if (words := sentence(self._record.id)) is None:
            return sse.PING
        self._writer.say(0, Reasoning(notice(words)))
        return self._writer.take()

    def broken(self, error: BridgeError) -> bytes:
        """The answer stops here. A call that was sent may already be running: its answer is finished, nothing is asked again.
        Without one the client is told, and asks again. Never does a truncated answer look finished."""
        if self._is_finished(self._question.choices):
            return self._finish()  # nothing of it was lost
        self._record.note = error.brief
        if not any(choice.whole for choice in self._choices.values()):
            for index, choice in self._choices.items():
                self._write(index, choice.close("error"))
        if not any(choice.whole for choice in self._choices.values()):
            if isinstance(self._writer, Whole):
                raise error
            self._writer.fail(self._record.named(error.body()))
            return self._writer.take()
        for index, choice in self._choices.items():
            self._writer.abandon_half_calls(index)
            self._writer.finish(index, "tool_calls" if choice.whole else "length")
        return self._ended()

    def _read(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            self.done = self.done or payload == b"[DONE]"
            if not self.done and (chunk := self._chunks.parse(payload)) is not None:
                self._say(chunk)

    def _say(self, chunk: dict[str, Any]) -> None:
        head = self._writer.head
        if head.model is None and isinstance(named := chunk.get("model"), str):
            head.model = named
        for index, event in self._reply.read(chunk):
            match event:
                case Failed(body):
                    raise self._meaning(_status(body), orjson.dumps({"error": body}), {})
                case Usage():
                    self._record.usage = event
                case Progress():
                    self._record.read(event)
                case _:
                    self._write(index, self._choice(index).take(event))
        self.begun = self.begun or "choices" in chunk

    def _choice(self, index: int) -> Choice:
        if index not in self._choices:
            parser = self._make_parser() if self._make_parser is not None else None
            self._choices[index] = Choice(parser, self._question, self._ids, self._record)
        return self._choices[index]

    def _write(self, index: int, events: Iterable[TextEvent | Logprobs]) -> None:
        for event in events:
            self._record.touched(len(event.text) if isinstance(event, Content | Reasoning | CallArguments) else 0)
            self._writer.say(index, event)
        if self._record.letters > WHOLE_LIMIT and isinstance(self._writer, Whole):
            raise BrokenOff(f"the answer has more than {WHOLE_LIMIT:,} letters, and no end")

    def _ended(self) -> bytes:
        usage = self._record.usage
        if usage is None:
            self._record.estimated = True
            usage = Usage(prompt=self._question.size // _BYTES_PER_TOKEN, completion=self._record.letters // _BYTES_PER_TOKEN)
            self._record.usage = usage
        self._writer.end(usage)
        return self._writer.take()


def _status(error: Any) -> int:
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code <= 599 else 500
