"""Pipeline of one answer, which turns bytes of the backend into bytes for the client.

The stages are chunks, events, parser and writer. The pipeline does no I/O.
"""

import contextlib
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from proxy import exact_json
from proxy.backends.chunks import ChunkParser, InvalidChunk
from proxy.backends.response_reader import ChoiceEvent, ResponseReader
from proxy.chat_request.progress_notes import progress_note
from proxy.chat_request.request import ChatRequest
from proxy.completion.answer_state import AnswerState
from proxy.completion.choice import Choice
from proxy.completion.request_stats import RequestStats
from proxy.completion.resume import Resume
from proxy.completion.slicing import sliced
from proxy.dialects import Parser
from proxy.errors import AnswerInterrupted, BackendDisconnected, BridgeError, ToolChoiceUnmet
from proxy.parsing.events import (
    CallArguments,
    Content,
    ErrorEvent,
    Finish,
    Logprobs,
    Passthrough,
    Progress,
    Reasoning,
    TextEvent,
    Usage,
)
from proxy.protocols import sse
from proxy.protocols.openai_chat import FINISH_REASONS, CompletionWriter, StreamWriter

MakeParser = Callable[[], Parser]
MapError = Callable[[int, bytes, Mapping[str, str]], BridgeError]
_BYTES_PER_TOKEN = 4
_STEP_BUDGET = 8192  # characters processed at once, which takes a few milliseconds
_EVENT_COST = 128  # processing an event costs as much as this many characters
WHOLE_LIMIT = 32 * 1024 * 1024  # characters of an answer that is not streamed


class ResponsePipeline:
    def __init__(
        self,
        response_reader: ResponseReader,
        map_error: MapError,
        writer: StreamWriter | CompletionWriter,
        make_parser: MakeParser | None,
        request: ChatRequest,
        stats: RequestStats,
        answer_state: AnswerState,
    ) -> None:
        self.started = False  # the backend has sent the first part of an answer
        self.eof_seen = False  # the backend has sent [DONE]
        self.complete = False  # the whole answer was sent
        self._response_reader = response_reader
        self._map_error = map_error
        self._writer = writer
        self._make_parser = make_parser
        self._request = request
        self._stats = stats
        self._answer_state = answer_state
        self._decoder = sse.Decoder()
        self._chunks = ChunkParser()
        # Received input that is not yet processed. Each iterator yields the cost of its steps.
        self._work: deque[Iterator[int]] = deque()
        self._choices: dict[int, Choice] = {}
        self._ids = set(request.used_call_ids)
        self._prefill_tokens = 0

    def feed(self, data: bytes = b"") -> bytes:
        """Process `data` from the backend, and return the bytes to send to the client.

        Call this without data to continue with a backlog. Raises a BridgeError if the backend
        reports an error inside the answer.
        """
        try:
            payloads = self._decoder.feed(data)
        except sse.LineTooLong as error:
            raise AnswerInterrupted(f"the backend sent {error} (connection lost)") from None
        return self._enqueue(self._read(payloads))

    @property
    def has_backlog(self) -> bool:
        """Whether received input is left; if so, yield to other tasks, then call `feed` again."""
        return bool(self._work)

    def feed_eof(self) -> bytes:
        """Process the last line of the backend's response, which may lack a newline."""
        return self._enqueue(self._last_line())

    def feed_whole(self, completion: dict[str, Any]) -> bytes:
        """Process a completion that arrived as one JSON object instead of a stream."""
        return self._enqueue(self._read_chunk(completion))

    def feed_output(self, text: str) -> bytes:
        """Process `text`, the recovered output of the model, as a complete answer."""
        return self._enqueue(
            cost for event in (Content(text), Finish("stop")) for cost in self._take(0, event)
        )

    def _enqueue(self, work: Iterator[int]) -> bytes:
        self._work.append(work)
        self._drain(_STEP_BUDGET)
        return self._writer.take()

    def _drain(self, most: float) -> None:
        try:
            while self._work and most > 0:
                if (cost := next(self._work[0], None)) is None:
                    self._work.popleft()
                else:
                    most -= cost
        except InvalidChunk as error:
            raise AnswerInterrupted(f"the backend sent {error} (connection lost)") from None

    def _last_line(self) -> Iterator[int]:
        # The last line may be incomplete, because the connection was closed.
        with contextlib.suppress(InvalidChunk):
            yield from self._read(self._decoder.close())

    def end(self) -> bytes:
        """Finish the answer, and return the last bytes for the client.

        Raises a BridgeError if the backend ended the answer too early, or if a restarted answer
        cannot be joined to what was sent.
        """
        self._work.append(self._last_line())
        self._drain(math.inf)
        if self.eof_seen and not self._is_finished(choices=1):
            self._work.append(self._events(self._response_reader.end()))
            self._drain(math.inf)
        # Some servers return one choice although several were requested.
        if not self._is_finished(choices=1):
            raise BackendDisconnected(
                "the backend ended its answer before it was finished (connection lost)"
            )
        if not self._is_consistent():
            raise AnswerInterrupted(
                "the answer broke off, and the new answer differs (connection lost)"
            )
        return self._finish()

    def _is_finished(self, choices: int) -> bool:
        return len(self._choices) >= choices and all(
            choice.finish is not None for choice in self._choices.values()
        )

    def _is_consistent(self) -> bool:
        """Close the parsers, and return whether a restarted answer matches what was sent."""
        for index, choice in self._choices.items():
            self._write(index, choice.close(choice.finish or "stop"))
        return not any(choice.diverged for choice in self._choices.values())

    def _finish(self) -> bytes:
        self.complete = True
        if (reason := self._unmet_tool_choice()) is not None:
            return self._fail(ToolChoiceUnmet(reason, param="tool_choice"))
        for index, choice in self._choices.items():
            if choice.whole_calls:
                self._writer.drop_open_calls(index)
            self._writer.finish(index, _finish_reason(choice))
        return self._end_with_usage()

    def heartbeat(self, waiting_reason: Callable[[str], str | None]) -> bytes:
        """Return bytes that keep the connection to the client alive.

        While the request waits, these report the progress as reasoning; otherwise they are an SSE
        comment. `waiting_reason` returns the text for a request id, or None.
        """
        if (words := waiting_reason(self._stats.id)) is None:
            return sse.PING
        self._writer.write(0, Reasoning(progress_note(words)))
        return self._writer.take()

    def abort(self, error: BridgeError) -> bytes:
        """End the answer because of `error`, and return the last bytes for the client.

        If a complete call was sent, the answer is finished as `tool_calls`: the client may already
        run the call, and a retry would repeat it. Otherwise the client gets the error, so that a
        truncated answer never looks complete.
        """
        if self._is_finished(self._request.choices) and self._is_consistent():
            return self._finish()  # the answer is complete in spite of the error
        for index, choice in self._choices.items():
            self._write(index, choice.close("error"))
        if not any(choice.whole_calls for choice in self._choices.values()):
            return self._fail(error)
        self._stats.error = error.summary
        for index, choice in self._choices.items():
            self._writer.drop_open_calls(index)
            self._writer.finish(index, "tool_calls" if choice.whole_calls else "length")
        return self._end_with_usage()

    def _unmet_tool_choice(self) -> str | None:
        """Return why the answer violates `tool_choice`, or None if it was truncated or does not."""
        choices = self._choices.values()
        if any(
            choice.whole_calls or choice.finish in ("length", "content_filter")
            for choice in choices
        ):
            return None
        return self._request.tool_choice.unmet_reason(
            [name for choice in choices for name in choice.refused]
        )

    def _fail(self, error: BridgeError) -> bytes:
        self._stats.error = error.summary
        if isinstance(self._writer, CompletionWriter):
            raise error
        self._writer.write_error(self._stats.with_request_id(error.body()))
        return self._writer.take()

    @property
    def can_finish(self) -> bool:
        """Whether every choice has its finish reason, or a complete call was sent."""
        return self._is_finished(self._request.choices) or any(
            choice.whole_calls for choice in self._choices.values()
        )

    @property
    def resumable_choice(self) -> Choice | None:
        """The choice that recovery may continue, or None.

        It must be the only one, unfinished, and without a complete call that was sent.
        """
        choice = self._choice(0)
        is_one = self._request.choices == len(self._choices) == 1
        return (
            choice
            if is_one and not choice.whole_calls and choice.finish is None and choice.is_resumable
            else None
        )

    def use_parser(self, parser: Parser) -> None:
        self._choices[0] = Choice(parser, self._request, self._ids, self._stats, self._answer_state)

    def resume(
        self,
        choice: Choice,
        how: Resume,
        response_reader: ResponseReader,
        parser: Parser | None,
        prefill_tokens: int = 0,
    ) -> None:
        """Continue the answer of `choice` with the bytes of another response.

        `how` tells how that response relates to what was sent. `prefill_tokens` is the number of
        tokens of this answer that the new prompt contains.
        """
        self._response_reader, self._decoder, self.eof_seen, self._prefill_tokens = (
            response_reader,
            sse.Decoder(),
            False,
            prefill_tokens,
        )
        self._work.clear()
        match how:
            case "continue":
                choice.continue_()
            case "continue reasoning":
                self._write(0, choice.continue_reasoning(parser))
            case _:
                choice.restart(parser)

    def _read(self, payloads: list[bytes]) -> Iterator[int]:
        for payload in payloads:
            self.eof_seen = self.eof_seen or payload == b"[DONE]"
            if not self.eof_seen and (chunk := self._chunks.parse(payload)) is not None:
                yield from self._read_chunk(chunk)

    def _read_chunk(self, chunk: dict[str, Any]) -> Iterator[int]:
        head = self._writer.head
        if head.model is None and isinstance(named := chunk.get("model"), str):
            head.model = named
        yield from self._events(self._response_reader.read(chunk))
        self.started = self.started or "choices" in chunk or "stop" in chunk

    def _events(self, events: Iterable[ChoiceEvent]) -> Iterator[int]:
        for index, event in events:
            match event:
                case ErrorEvent(body):
                    raise self._map_error(_status(body), exact_json.dumps({"error": body}), {})
                case Usage():
                    self._stats.usage = replace(
                        event,
                        prompt=max(event.prompt - self._prefill_tokens, 0),
                        completion=event.completion + self._prefill_tokens,
                    )
                case Progress():
                    self._stats.update_progress(event)
                case Passthrough():
                    self._choice(index)
                    self._write(index, [event])
                case _:
                    yield from self._take(index, event)

    def _take(self, index: int, event: TextEvent | Logprobs | Finish) -> Iterator[int]:
        for part in sliced(event):
            self._write(index, self._choice(index).take(part))
            yield _EVENT_COST + (
                len(part.text) if isinstance(part, Content | Reasoning | CallArguments) else 0
            )

    def _choice(self, index: int) -> Choice:
        if index not in self._choices:
            parser = self._make_parser() if self._make_parser is not None else None
            self._choices[index] = Choice(
                parser, self._request, self._ids, self._stats, self._answer_state
            )
        return self._choices[index]

    def _write(self, index: int, events: Iterable[TextEvent | Logprobs | Passthrough]) -> None:
        for event in events:
            self._stats.add_output(
                len(event.text) if isinstance(event, Content | Reasoning | CallArguments) else 0
            )
            self._writer.write(index, event)
        if self._stats.output_chars > WHOLE_LIMIT and isinstance(self._writer, CompletionWriter):
            raise AnswerInterrupted(f"the answer is longer than {WHOLE_LIMIT:,} characters")

    def _end_with_usage(self) -> bytes:
        usage = self._stats.usage
        if usage is None:
            self._stats.estimated = True
            usage = Usage(
                prompt=self._request.size // _BYTES_PER_TOKEN,
                completion=self._stats.output_chars // _BYTES_PER_TOKEN,
            )
            self._stats.usage = usage
        self._writer.end(usage)
        return self._writer.take()


def _finish_reason(choice: Choice) -> str:
    """Return the finish reason for the client.

    With a complete call the reason is `tool_calls`, even if the answer was cut. With calls that all
    broke off, `stop` becomes `length`.
    """
    if choice.whole_calls:
        return "tool_calls"
    finish = (
        choice.finish
        if choice.finish in FINISH_REASONS and choice.finish != "tool_calls"
        else "stop"
    )
    return "length" if finish == "stop" and choice.cut_calls else finish


def _status(error: Any) -> int:
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code <= 599 else 500
