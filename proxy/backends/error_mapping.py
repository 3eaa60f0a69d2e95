"""What a backend means when it does not answer: a status and a body in any shape become one of
our errors.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from proxy.errors import (
    BackendFailed,
    BackendRefused,
    BackendStatusError,
    BridgeError,
    ContextOverflow,
    InvalidBackendResponse,
    ModelLoading,
    ModelNotFound,
)

_OVERFLOW = re.compile(
    r"exceeds the available context size|maximum context length|context_length_exceeded|"
    r"greater than the context length|"
    r"exceed_context_size|too many tokens|longer than the maximum model length|"
    r"exceeded model token limit|context window exceeds limit|"
    r"exceeds the context window|prompt (?:is )?too long|input is too long for requested model|"
    r"context length is only|"
    r"longer than the model'?s context length|input token count.{0,80}exceeds the maximum|"
    r"tokens in request more than max tokens|"
    r"maximum prompt length|maximum allowed input length|configured context size|"
    r"model_context_window_exceeded|token limit exceeded|"
    r"reduce the length of the messages",
    re.IGNORECASE,
)
_SEARCH_LIMIT = 16_384  # letters of a message; what it means stands at its beginning
_WEB_PAGE = "the backend answered with a web page, not with an error that explains itself"
_NO_REASON = "the backend gave no reason"


def map_error(status: int, body: bytes, headers: Mapping[str, str]) -> BridgeError:
    message, fields = parse_error_body(body)
    error = _map(status, body, headers, message, fields)
    param = fields.get("param")
    error.param = error.param or (param if isinstance(param, str) and param else None)
    return error


def _map(
    status: int, body: bytes, headers: Mapping[str, str], message: str, fields: dict[str, Any]
) -> BridgeError:
    kind = fields.get("type")
    says_so = kind == "exceed_context_size_error" or fields.get("code") == "context_length_exceeded"
    if status == 413 or (status != 429 and (says_so or _OVERFLOW.search(message[:_SEARCH_LIMIT]))):
        return ContextOverflow(
            message, context=_number(fields, "n_ctx"), prompt=_number(fields, "n_prompt_tokens")
        )
    kept = retry_headers(headers)
    if status == 503 and "loading model" in message.lower():
        return ModelLoading(message)
    if status >= 600:  # no HTTP status; a client could not be answered with it
        return InvalidBackendResponse(
            f"the backend answered with status {status}: {message}", headers=kept
        )
    if status >= 500 and body.lstrip().startswith(b"<"):
        return InvalidBackendResponse(message, headers=kept)
    if status >= 500:
        return BackendFailed(message, status=status, headers=kept)
    if status == 404 and "model" in message.lower():
        return ModelNotFound(message, param="model")
    if status == 400:
        return BackendRefused(message)
    if status > 400:
        return BackendStatusError(
            message + _advice(status, message),
            status=status,
            type=kind if isinstance(kind, str) else "invalid_request_error",
            headers=kept,
        )
    if (elsewhere := headers.get("location")) is not None:
        return InvalidBackendResponse(
            (
                f"the backend has moved to {elsewhere.partition('?')[0]}: nothing is sent there "
                f"unless BACKEND_URL names it"
            ),
            retryable=False,
        )
    return InvalidBackendResponse(f"the backend answered with status {status}: {message}")


def _advice(status: int, message: str) -> str:
    if status == 401:
        return " (the backend wants a key that it knows: BACKEND_API_KEY)"
    if status == 404 and message in (_WEB_PAGE, _NO_REASON):
        return " (status 404: is BACKEND_URL the base of its API?)"
    return ""


def retry_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: headers[name]
        for name in ("retry-after", "retry-after-ms", "x-should-retry")
        if name in headers
    }


def parse_error_body(body: bytes) -> tuple[str, dict[str, Any]]:
    """The message of an error and its fields: an object, a text, `detail`, an SSE event, a web
    page.
    """
    text = body.decode("utf-8", "replace").strip()
    for line in (
        text,
        *(
            line.partition(":")[2]
            for line in text.splitlines()
            if line.startswith(("data:", "error:"))
        ),
    ):
        try:
            parsed = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(parsed, list) and len(parsed) == 1:  # Google
            parsed = parsed[0]
        if isinstance(parsed, dict):
            return _fields(parsed)
    if text.startswith("<"):
        return _WEB_PAGE, {}
    return text[:2000] or _NO_REASON, {}


def _fields(parsed: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    error = parsed.get("error", parsed)
    fields = error if isinstance(error, dict) else {}
    message = (
        error
        if isinstance(error, str)
        else fields.get("message") or parsed.get("message") or parsed.get("detail")
    )
    if isinstance(message, list):
        message = "; ".join(_location_and_reason(item) for item in message)
    return message if isinstance(message, str) else orjson.dumps(parsed).decode(), fields


def _location_and_reason(item: Any) -> str:
    """One of several, as FastAPI tells them: `body.messages: Field required`."""
    if (
        not isinstance(item, dict)
        or not isinstance(place := item.get("loc"), list)
        or not isinstance(reason := item.get("msg"), str)
    ):
        return orjson.dumps(item).decode()
    return f"{'.'.join(map(str, place))}: {reason}"


def _number(fields: dict[str, Any], key: str) -> int | None:
    value = fields.get(key)
    return value if isinstance(value, int) else None
