"""What an answer is made of, whoever wrote it and however it arrived: frozen and exhaustive."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Source: TypeAlias = Literal["native", "parsed from text", "parsed from reasoning", "recovered"]
"""Where a call was found: parsed by the backend, written in the text or in the thoughts, or in
an answer that had to be got twice.
"""


@dataclass(frozen=True, slots=True)
class Content:
    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    text: str


@dataclass(frozen=True, slots=True)
class CallStart:
    index: int
    id: str | None  # the model's own id, where its dialect has one
    name: str
    source: Source = "parsed from text"


@dataclass(frozen=True, slots=True)
class CallArguments:
    index: int
    text: str  # a piece of one JSON object


@dataclass(frozen=True, slots=True)
class CallEnd:
    index: int
    whole: bool  # False: the answer broke off inside the call; its arguments stay unclosed


@dataclass(frozen=True, slots=True)
class Finish:
    reason: str  # as the backend said it


@dataclass(frozen=True, slots=True)
class Usage:
    prompt: int
    completion: int
    cached: int = 0
    reasoning: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Logprobs:
    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Passthrough:
    """What stands beside the text and means something to the client alone: it passes as it is."""

    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """The backend reported an error inside its answer."""

    body: Any  # whatever stood in the place of the error, parsed


TextEvent: TypeAlias = Content | Reasoning | CallStart | CallArguments | CallEnd
"""What a parser of text makes."""

Event: TypeAlias = TextEvent | Finish | Usage | Progress | Logprobs | Passthrough | ErrorEvent
"""What a backend's reader makes."""
