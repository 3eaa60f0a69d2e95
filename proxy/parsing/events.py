"""Events that make up an answer, independent of backend and protocol."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Source: TypeAlias = Literal["native", "parsed from text", "parsed from reasoning", "recovered"]
"""Where a call was found: parsed by the backend, in the text, in the reasoning, or in an answer
that was recovered after a failure.
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
    id: str | None  # the model's own id, if its dialect has one
    name: str
    source: Source = "parsed from text"


@dataclass(frozen=True, slots=True)
class CallArguments:
    index: int
    text: str  # the next piece of the arguments' JSON object


@dataclass(frozen=True, slots=True)
class CallEnd:
    index: int
    whole: bool  # False: the answer broke off inside the call, and its arguments stay incomplete


@dataclass(frozen=True, slots=True)
class Finish:
    reason: str  # the finish reason that the backend sent


@dataclass(frozen=True, slots=True)
class Usage:
    """Number of tokens that the request and its answer used."""

    prompt: int
    completion: int
    cached: int = 0
    reasoning: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Number of prompt tokens that the backend has processed, out of `total`."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Logprobs:
    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Passthrough:
    """Further fields of a delta, passed to the client unchanged."""

    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """Error that the backend reported inside its answer."""

    body: Any  # the parsed error, of any shape


TextEvent: TypeAlias = Content | Reasoning | CallStart | CallArguments | CallEnd
"""Event that the parser produces from text."""

Event: TypeAlias = TextEvent | Finish | Usage | Progress | Logprobs | Passthrough | ErrorEvent
"""Event that the reader of a backend's response produces."""
