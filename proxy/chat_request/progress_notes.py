"""What we say ourselves among the thoughts of an answer, to a person who waits; it is taken out of
the history again, so that the model never reads it and its prompt stays the one that the cache
holds."""

import re
from typing import Any

from proxy.chat_request.history import REASONING_FIELDS

_PREFIX = "[llama-bridge] "
# Some clients trim what they send back.
_NOTE = re.compile(r"^\[llama-bridge\] [^\n]*(?:\n|\Z)", re.MULTILINE)


def progress_note(sentence: str) -> str:
    """One line, whatever the reason for waiting looks like."""
    return _PREFIX + sentence.partition("\n")[0] + "\n"


def strip_notes(messages: list[dict[str, Any]]) -> None:
    for message in messages:
        for name in REASONING_FIELDS:
            if isinstance(reasoning := message.get(name), str) and _PREFIX in reasoning:
                message[name] = _NOTE.sub("", reasoning)
                if not message[name].strip():
                    del message[name]
