"""What we say ourselves among the thoughts of an answer, to a person who waits; it is taken out of
the history again, so that the model never reads it and its prompt stays the one that the cache
holds."""

import re
from typing import Any

from proxy.chat_request.history import THOUGHTS

_BEGINS = "[llama-bridge] "
# Some clients trim what they send back.
_NOTICE = re.compile(r"^\[llama-bridge\] [^\n]*(?:\n|\Z)", re.MULTILINE)


def notice(sentence: str) -> str:
    """One line, whatever the reason for waiting looks like."""
    return _BEGINS + sentence.partition("\n")[0] + "\n"


def take_out(messages: list[dict[str, Any]]) -> None:
    for message in messages:
        for name in THOUGHTS:
            if isinstance(thoughts := message.get(name), str) and _BEGINS in thoughts:
                message[name] = _NOTICE.sub("", thoughts)
                if not message[name].strip():
                    del message[name]
