"""What a refusal says that can be left out or said another way, so that the same question is asked
once more.

Each of these is something that a client sends to every server, and that no answer depends on.
"""

import re
from typing import Any

from proxy.chat_request.backend_body import Capabilities

_UNKNOWN = re.compile(
    r"unsupported|not (supported|permitted|allowed)|unknown|unrecogni[sz]ed|unexpected|extra",
    re.IGNORECASE,
)
_SEARCH_LIMIT = 16_384  # letters: a message may repeat a whole conversation
_OPTIONAL_FIELDS = ("store", "strict", "prompt_cache_key")
_ALTERNATION = re.compile(r"roles must alternate", re.IGNORECASE)
_PREFILL = re.compile(
    r"prefill|assistant messages at the end|last (message|role)|(must|should) end with a user",
    re.IGNORECASE,
)  # llama.cpp, Mistral, Anthropic


def relax(message: str, capabilities: Capabilities) -> dict[str, Any]:
    """Return the fields of `needs` that a refusal with this message changes.

    Its reason is expected at its beginning.
    """
    message = message[:_SEARCH_LIMIT]
    if "stream_options" in message:
        return {"stream_options": False}
    if _ALTERNATION.search(message):
        return {"consecutive_users": False}
    if _PREFILL.search(message):
        return {"prefill": False}
    return _unknown_fields(message, capabilities) if _UNKNOWN.search(message) else {}


def _unknown_fields(message: str, capabilities: Capabilities) -> dict[str, Any]:
    if capabilities.reasoning_field is not None and capabilities.reasoning_field in message:
        return {"reasoning_field": None}
    if "max_completion_tokens" in message:
        return {"max_completion_tokens": False}
    if refused := {name for name in _OPTIONAL_FIELDS if re.search(rf"\b{name}\b", message)}:
        return {"dropped_fields": capabilities.dropped_fields | refused}
    return {}
