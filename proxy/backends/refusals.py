"""What a backend means when it does not answer: a status and a body in any shape become one of our errors."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from proxy.errors import BackendFailed, BackendRefused, BackendSaid, BadAnswer, BridgeError, ContextOverflow, ModelLoading, ModelNotFound

_OVERFLOW = re.compile(
    r"exceeds the available context size|maximum context length|context_length_exceeded|greater than the context length|"
    r"exceed_context_size|too many tokens|longer than the maximum model length|exceeded model token limit|context window exceeds limit|"
    r"exceeds the context window|prompt is too long",
    re.IGNORECASE,
)


def meaning(status: int, body: bytes, headers: Mapping[str, str]) -> BridgeError:
    message, fields = told(body)
    kind = fields.get("type")
    if status == 413 or (status != 429 and (_OVERFLOW.search(message) or kind == "exceed_context_size_error")):
        return ContextOverflow(message, context=_number(fields, "n_ctx"), prompt=_number(fields, "n_prompt_tokens"))
    kept = when_to_come_again(headers)
    if status == 503 and "loading model" in message.lower():
        return ModelLoading(message)
    if status >= 500 and body.lstrip().startswith(b"<"):
        return BadAnswer(message)
    if status >= 500:
        return BackendFailed(message, status=status, headers=kept)
    if status == 404 and "model" in message.lower():
        return ModelNotFound(message, param="model")
    if status == 400:
        return BackendRefused(message)
    if status > 400:
        return BackendSaid(message, status=status, type=kind if isinstance(kind, str) else "invalid_request_error", headers=kept)
    return BadAnswer(f"the backend answered with status {status}: {message}")


def when_to_come_again(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in ("retry-after", "retry-after-ms") if name in headers}


def told(body: bytes) -> tuple[str, dict[str, Any]]:
    """The message of an error and its fields: an object, a text, `detail`, an SSE event, a web page."""
    text = body.decode("utf-8", "replace").strip()
    for line in (text, *(line.partition(":")[2] for line in text.splitlines() if line.startswith(("data:", "error:")))):
        try:
            parsed = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(parsed, dict):
            return _fields(parsed)
    if text.startswith("<"):
        return "the backend answered with a web page, not with an error that explains itself", {}
    return text[:2000] or "the backend gave no reason", {}


def _fields(parsed: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    error = parsed.get("error", parsed)
    fields = error if isinstance(error, dict) else {}
    message = error if isinstance(error, str) else fields.get("message") or parsed.get("message") or parsed.get("detail")
    return message if isinstance(message, str) else orjson.dumps(parsed).decode(), fields


def _number(fields: dict[str, Any], key: str) -> int | None:
    value = fields.get(key)
    return value if isinstance(value, int) else None
