"""An event with a long text in pieces, so that others have their turn in between."""

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

# Letters of one event that are read at once; a backend may send megabytes as one piece.
SLICE = 2048


def sliced(event: TextEvent | Logprobs | Finish) -> Iterable[TextEvent | Logprobs | Finish]:
    """The event, in pieces where its text is long: what a client gets is the same, however it is
    cut.
    """
    if not isinstance(event, Content | Reasoning | CallArguments) or len(event.text) <= SLICE:
        return [event]
    return (
        replace(event, text=event.text[at : at + SLICE]) for at in range(0, len(event.text), SLICE)
    )
