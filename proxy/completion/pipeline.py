"""One per answer, no I/O: bytes of the backend → chunks → events → a parser per choice → bytes
for the client.
"""

import contextlib
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from proxy import exact_json
from proxy.backends.chunks import Chunks, Unreadable
from proxy.backends.response_reader import Reply, Said
from proxy.chat_request.progress_notes import notice
from proxy.chat_request.request import Question
from proxy.completion.answer_state import Keeping
from proxy.completion.choice import Choice
from proxy.completion.request_stats import Record
from proxy.completion.resume import Joining
from proxy.completion.slicing import _slices
from proxy.dialects import Parser
from proxy.errors import BridgeError, BrokenOff, ToolChoiceUnmet, Vanished
from proxy.parsing.events import (
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
from proxy.protocols import sse
from proxy.protocols.openai_chat import FINISH_REASONS, Stream, Whole

MakeParser = Callable[[], Parser]
Meaning = Callable[[int, bytes, Mapping[str, str]], BridgeError]
_BYTES_PER_TOKEN = 4
_STEP = 8192  # letters that are read before others have their turn; a few milliseconds
_PER_EVENT = 128  # an event costs as much as so many letters
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
        # What has come and is not read yet; each step says what it cost.
        self._work: deque[Iterator[int]] = deque()
        self._choices: dict[int, Choice] = {}
        self._ids = set(question.used_ids)
        self._spent = 0

    def feed(self, data: bytes = b"") -> bytes:
        """Return what the client gets for these bytes, or for what `is_behind`.

        Raises the error that the backend reports in the middle of its answer."""
        try:
            payloads = self._decoder.feed(data)
        except sse.LineTooLong as error:
            raise BrokenOff(f"the backend sent {error} (connection lost)") from None
        return self._go_on(self._read(payloads))

    @property
    def is_behind(self) -> bool:
        """Whether more has come than was read in one step: feed it once more, after others have
        had their turn.
        """
        return bool(self._work)

    def feed_last(self) -> bytes:
        """The backend has no more to say: its last line may have no end."""
        return self._go_on(self._last_line())

    def feed_whole(self, completion: dict[str, Any]) -> bytes:
        """An answer that came all at once."""
        return self._go_on(self._say(completion))

    def feed_text(self, text: str) -> bytes:
        """The answer as the model wrote it."""
        return self._go_on(
            cost for said in (Content(text), Finish("stop")) for cost in self._take(0, said)
        )

    def _go_on(self, work: Iterator[int]) -> bytes:
        self._work.append(work)
        self._do(_STEP)
        return self._writer.take()

    def _do(self, most: float) -> None:
        try:
            while self._work and most > 0:
                if (cost := next(self._work[0], None)) is None:
                    self._work.popleft()
                else:
                    most -= cost
        except Unreadable as error:
            raise BrokenOff(f"the backend sent {error} (connection lost)") from None

    def _last_line(self) -> Iterator[int]:
        # A line without its end: the connection was closed inside it.
        with contextlib.suppress(Unreadable):
            yield from self._read(self._decoder.close())

    def end(self) -> bytes:
        """The backend has no more to say."""
        self._work.append(self._last_line())
        self._do(math.inf)
        if self.done and not self._is_finished(choices=1):
            self._work.append(self._events(self._reply.end()))
            self._do(math.inf)
        if not self._is_finished(choices=1):  # some make one answer where several were asked for
            raise Vanished("the backend ended its answer before it was finished (connection lost)")
        if not self._is_one():
            raise BrokenOff(
                "the answer broke off, and was given anew in other words (connection lost)"
            )
        return self._finish()

    def _is_finished(self, choices: int) -> bool:
        return len(self._choices) >= choices and all(
            choice.finish is not None for choice in self._choices.values()
        )

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
            if choice.whole:
                self._writer.abandon_half_calls(index)
            self._writer.finish(index, _finish_reason(choice))
        return self._ended()

    def sign_of_life(self, sentence: Callable[[str], str | None]) -> bytes:
        """For a person who waits: what is being done, as a thought.

        A comment once the answer has begun.
        """
        if (words := sentence(self._record.id)) is None:
            return sse.PING
        self._writer.say(0, Reasoning(notice(words)))
        return self._writer.take()

    def broken(self, error: BridgeError) -> bytes:
        """The answer stops here.

        A call that was sent may already be running: its answer is finished, nothing is asked again.
        Without one the client is told, and asks again. Never does a truncated answer look finished.
        """
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
        """Return why the finished answer is not what `tool_choice` demands; an answer that was
        cut is what it is.
        """
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
    def can_finish(self) -> bool:
        """Whether what has come can be finished: the backend has said the finish, or a call is
        whole.
        """
        return self._is_finished(self._question.choices) or any(
            choice.whole for choice in self._choices.values()
        )

    @property
    def only_choice(self) -> Choice | None:
        """What may be got another way: one choice, not finished, of which no call has left and
        nothing was forgotten.
        """
        choice = self._choice(0)
        is_one = self._question.choices == len(self._choices) == 1
        return (
            choice
            if is_one and not choice.whole and choice.finish is None and choice.is_kept
            else None
        )

    def reads_with(self, parser: Parser) -> None:
        self._choices[0] = Choice(parser, self._question, self._ids, self._record, self._keeping)

    def joins(
        self, choice: Choice, how: Joining, reply: Reply, parser: Parser | None, spent: int = 0
    ) -> None:
        """Other bytes follow, of another answer; so many tokens of this one stand in its prompt."""
        self._reply, self._decoder, self.done, self._spent = reply, sse.Decoder(), False, spent
        self._work.clear()
        match how:
            case "goes on":
                choice.goes_on()
            case "goes on thinking":
                self._write(0, choice.goes_on_thinking(parser))
            case _:
                choice.begins_again(parser)

    def _read(self, payloads: list[bytes]) -> Iterator[int]:
        for payload in payloads:
            self.done = self.done or payload == b"[DONE]"
            if not self.done and (chunk := self._chunks.parse(payload)) is not None:
                yield from self._say(chunk)

    def _say(self, chunk: dict[str, Any]) -> Iterator[int]:
        head = self._writer.head
        if head.model is None and isinstance(named := chunk.get("model"), str):
            head.model = named
        yield from self._events(self._reply.read(chunk))
        self.begun = self.begun or "choices" in chunk or "stop" in chunk

    def _events(self, said: Iterable[Said]) -> Iterator[int]:
        for index, event in said:
            match event:
                case Failed(body):
                    raise self._meaning(_status(body), exact_json.dumps({"error": body}), {})
                case Usage():
                    self._record.usage = replace(
                        event,
                        prompt=max(event.prompt - self._spent, 0),
                        completion=event.completion + self._spent,
                    )
                case Progress():
                    self._record.read(event)
                case Beside():
                    self._choice(index)
                    self._write(index, [event])
                case _:
                    yield from self._take(index, event)

    def _take(self, index: int, event: TextEvent | Logprobs | Finish) -> Iterator[int]:
        for part in _slices(event):
            self._write(index, self._choice(index).take(part))
            yield _PER_EVENT + (
                len(part.text) if isinstance(part, Content | Reasoning | CallArguments) else 0
            )

    def _choice(self, index: int) -> Choice:
        if index not in self._choices:
            parser = self._make_parser() if self._make_parser is not None else None
            self._choices[index] = Choice(
                parser, self._question, self._ids, self._record, self._keeping
            )
        return self._choices[index]

    def _write(self, index: int, events: Iterable[TextEvent | Logprobs | Beside]) -> None:
        for event in events:
            self._record.touched(
                len(event.text) if isinstance(event, Content | Reasoning | CallArguments) else 0
            )
            self._writer.say(index, event)
        if self._record.letters > WHOLE_LIMIT and isinstance(self._writer, Whole):
            raise BrokenOff(f"the answer has more than {WHOLE_LIMIT:,} letters, and no end")

    def _ended(self) -> bytes:
        usage = self._record.usage
        if usage is None:
            self._record.estimated = True
            usage = Usage(
                prompt=self._question.size // _BYTES_PER_TOKEN,
                completion=self._record.letters // _BYTES_PER_TOKEN,
            )
            self._record.usage = usage
        self._writer.end(usage)
        return self._writer.take()


def _finish_reason(choice: Choice) -> str:
    """With a whole call the client has something to run, wherever the answer was cut.

    With nothing but half a call it was cut, whatever the backend says: the model, or a stop
    sequence, ended it there."""
    if choice.whole:
        return "tool_calls"
    finish = (
        choice.finish
        if choice.finish in FINISH_REASONS and choice.finish != "tool_calls"
        else "stop"
    )
    return "length" if finish == "stop" and choice.halves else finish


def _status(error: Any) -> int:
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code <= 599 else 500
