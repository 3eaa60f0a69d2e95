"""Progress notes: lines of reasoning for a waiting user, removed again from the history.

So the model never reads them, and the prompt still matches the cache.
"""

import re
from typing import Any

from proxy.chat_request.history import REASONING_FIELDS

_PREFIX = "[llama-bridge] "
# Some clients trim the text that they send back.
_NOTE = re.compile(r"^\[llama-bridge\] [^\n]*(?:\n|\Z)", re.MULTILINE)


def progress_note(sentence: str) -> str:
    """Return the note as a single line."""
    return _PREFIX + sentence.partition("\n")[0] + "\n"


def strip_notes(messages: list[dict[str, Any]]) -> None:
    for message in messages:
        for name in REASONING_FIELDS:
            if isinstance(reasoning := message.get(name), str) and _PREFIX in reasoning:
                message[name] = _NOTE.sub("", reasoning)
                if not message[name].strip():
                    del message[name]
