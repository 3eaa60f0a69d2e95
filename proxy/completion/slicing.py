"""Splitting of events with long text, so that other tasks can run in between."""

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

# Characters that are processed at once; a backend may send megabytes in one chunk.
SLICE = 2048


def sliced(event: TextEvent | Logprobs | Finish) -> Iterable[TextEvent | Logprobs | Finish]:
    """Return `event`, or several shorter events with the same text if its text is long."""
    if not isinstance(event, Content | Reasoning | CallArguments) or len(event.text) <= SLICE:
        return [event]
    return (
        replace(event, text=event.text[at : at + SLICE]) for at in range(0, len(event.text), SLICE)
    )
