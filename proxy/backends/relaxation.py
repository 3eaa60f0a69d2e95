"""Choice of the optional features to leave out of a request that the backend has refused.

Clients send these features to every server, and no answer depends on them.
"""

import re
from typing import Any

from proxy.chat_request.backend_body import Capabilities

_UNKNOWN = re.compile(
    r"unsupported|not (supported|permitted|allowed)|unknown|unrecogni[sz]ed|unexpected|extra",
    re.IGNORECASE,
)
_SEARCH_LIMIT = 16_384  # characters; a message may quote a whole conversation
_OPTIONAL_FIELDS = ("store", "strict", "prompt_cache_key")
_ALTERNATION = re.compile(r"roles must alternate", re.IGNORECASE)
_PREFILL = re.compile(
    r"prefill|assistant messages at the end|last (message|role)|(must|should) end with a user",
    re.IGNORECASE,
)  # llama.cpp, Mistral, Anthropic


def relax(message: str, capabilities: Capabilities) -> dict[str, Any]:
    """Return the fields of `capabilities` to change after a refusal with this message.

    Returns an empty dict if the message names no optional feature near its beginning.
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
