"""Mapping from the error responses of backends, in any shape, to the errors of this proxy."""

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
_SEARCH_LIMIT = 16_384  # characters; a longer message is matched by its beginning only
_WEB_PAGE = "the backend responded with a web page instead of an error message"
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
    if status >= 600:  # not an HTTP status, so it cannot be passed on
        return InvalidBackendResponse(
            f"the backend responded with status {status}: {message}", headers=kept
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
                f"the backend redirects to {elsewhere.partition('?')[0]}; redirects are not "
                f"followed, so set BACKEND_URL to it if you trust it"
            ),
            retryable=False,
        )
    return InvalidBackendResponse(f"the backend responded with status {status}: {message}")


def _advice(status: int, message: str) -> str:
    if status == 401:
        return " (set BACKEND_API_KEY to a key that the backend accepts)"
    if status == 404 and message in (_WEB_PAGE, _NO_REASON):
        return " (status 404; check that BACKEND_URL is the base of its API)"
    return ""


def retry_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: headers[name]
        for name in ("retry-after", "retry-after-ms", "x-should-retry")
        if name in headers
    }


def parse_error_body(body: bytes) -> tuple[str, dict[str, Any]]:
    """Return the message of an error body, and its JSON fields if there are any.

    The body may be JSON, an SSE event, plain text or a web page.
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
        if isinstance(parsed, list) and len(parsed) == 1:  # Google wraps the error in a list
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
    """Format a validation error of FastAPI, such as `body.messages: Field required`."""
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
