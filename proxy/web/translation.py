"""One per answer, no I/O: bytes of the backend → chunks → events → a parser per choice → bytes for the client."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from proxy.backends.reply import Reply
from proxy.dialects import Parser
from proxy.errors import BridgeError, BrokenOff, ToolChoiceUnmet, Vanished
from proxy.protocols.openai_chat import FINISH_REASONS, Stream, Whole
from proxy.requests.notices import notice
from proxy.requests.question import Question
from proxy.stream import exact_json, sse
from proxy.stream.chunks import Chunks
from proxy.stream.events import (
    Beside,
    CallArguments,
    Content,
    Failed,
    Finish,
    Logprobs,
    Progress,
    Reasoning,
    TextEvent,
    Usage,
)
from proxy.web.choice import Choice, Joining
from proxy.web.keeping import Keeping
from proxy.web.record import Record

MakeParser = Callable[[], Parser]
Meaning = Callable[[int, bytes, Mapping[str, str]], BridgeError]
_BYTES_PER_TOKEN = 4
WHOLE_LIMIT = 32 * 1024 * 1024  # of an answer that leaves in one piece


class Translation:
    def __init__(
        self,
        reply: Reply,
        meaning: Meaning,
        writer: Stream | Whole,
        make_parser: MakeParser | None,
        question: Question,
        record: Record,
        keeping: Keeping,
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
        self._keeping = keeping
        self._decoder = sse.Decoder()
        self._chunks = Chunks()
        self._choices: dict[int, Choice] = {}
        self._ids = set(question.used_ids)
        self._spent = 0

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
            raise Vanished("the backend ended its answer before it was finished (connection lost)")
        if not self._is_one():
            raise BrokenOff("the answer broke off, and was given anew in other words (connection lost)")
        return self._finish()

    def _is_finished(self, choices: int) -> bool:
        return len(self._choices) >= choices and all(choice.finish is not None for choice in self._choices.values())

    def _is_one(self) -> bool:
        """With what was held back it shows whether an answer that was given twice is one."""
        for index, choice in self._choices.items():
            self._write(index, choice.close(choice.finish or "stop"))
        return not any(choice.is_another for choice in self._choices.values())

    def _finish(self) -> bytes:
        self.finished = True
        if (reason := self._unmet()) is not None:
            return self._fail(ToolChoiceUnmet(reason, param="tool_choice"))
        for index, choice in self._choices.items():
            finish = choice.finish or "stop"
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
        if self._is_finished(self._question.choices) and self._is_one():
            return self._finish()  # nothing of it was lost
        for index, choice in self._choices.items():
            self._write(index, choice.close("error"))
        if not any(choice.whole for choice in self._choices.values()):
            return self._fail(error)
        self._record.note = error.brief
        for index, choice in self._choices.items():
            self._writer.abandon_half_calls(index)
            self._writer.finish(index, "tool_calls" if choice.whole else "length")
        return self._ended()

    def _unmet(self) -> str | None:
        """Return why the finished answer is not what `tool_choice` demands; an answer that was cut is what it is."""
        choices = self._choices.values()
        if any(choice.whole or choice.finish in ("length", "content_filter") for choice in choices):
            return None
        return self._question.choice.unmet([name for choice in choices for name in choice.refused])

    def _fail(self, error: BridgeError) -> bytes:
        self._record.note = error.brief
        if isinstance(self._writer, Whole):
            raise error
        self._writer.fail(self._record.named(error.body()))
        return self._writer.take()

    @property
    def only_choice(self) -> Choice | None:
        """What may be got another way: one choice, not finished, of which no call has left and nothing was forgotten."""
        choice = self._choice(0)
        is_one = self._question.choices == len(self._choices) == 1
        return choice if is_one and not choice.whole and choice.finish is None and choice.is_kept else None

    def reads_with(self, parser: Parser) -> None:
        self._choices[0] = Choice(parser, self._question, self._ids, self._record, self._keeping)

    def joins(self, choice: Choice, how: Joining, reply: Reply, parser: Parser | None, spent: int = 0) -> None:
        """Other bytes follow, of another answer; so many tokens of this one stand in its prompt."""
        self._reply, self._decoder, self.done, self._spent = reply, sse.Decoder(), False, spent
        match how:
            case "goes on":
                choice.goes_on()
            case "goes on thinking":
                self._write(0, choice.goes_on_thinking(parser))
            case _:
                choice.begins_again(parser)

    def read_anew(self, text: str) -> bytes:
        """The answer as the model wrote it."""
        self._write(0, [event for said in (Content(text), Finish("stop")) for event in self._choice(0).take(said)])
        return self.end()

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
                    raise self._meaning(_status(body), exact_json.dumps({"error": body}), {})
                case Usage():
                    self._record.usage = replace(
                        event, prompt=max(event.prompt - self._spent, 0), completion=event.completion + self._spent
                    )
                case Progress():
                    self._record.read(event)
                case Beside():
                    self._choice(index)
                    self._write(index, [event])
                case _:
                    self._write(index, self._choice(index).take(event))
        self.begun = self.begun or "choices" in chunk or "stop" in chunk

    def _choice(self, index: int) -> Choice:
        if index not in self._choices:
            parser = self._make_parser() if self._make_parser is not None else None
            self._choices[index] = Choice(parser, self._question, self._ids, self._record, self._keeping)
        return self._choices[index]

    def _write(self, index: int, events: Iterable[TextEvent | Logprobs | Beside]) -> None:
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
