"""Splits long events, so that other requests have their turn in between."""

from collections.abc import Iterable
from dataclasses import replace

from proxy.parsing.events import (
    CallArguments,
    Content,
    Finish,
    Logprobs,
    Reasoning,
    TextEvent,
)

# Characters of one event that are processed at once; a backend may send megabytes as one chunk.
SLICE = 2048


def sliced(event: TextEvent | Logprobs | Finish) -> Iterable[TextEvent | Logprobs | Finish]:
    """Return the event, split if its text is long; the client receives the same either way."""
    if not isinstance(event, Content | Reasoning | CallArguments) or len(event.text) <= SLICE:
        return [event]
    return (
        replace(event, text=event.text[at : at + SLICE]) for at in range(0, len(event.text), SLICE)
    )
