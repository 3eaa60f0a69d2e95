"""The errors that a client can receive, as one tree.

Each class knows its HTTP status, its JSON body and whether a retry can help. If a retry cannot
help, the response carries `x-should-retry: false`.

BridgeError
├── ClientError             4xx: repeating the same request is useless
│   ├── BadRequest          400 invalid_request
│   │   ├── ContextOverflow 400 context_length_exceeded
│   │   ├── BackendRefused  400 backend_refused
│   │   ├── CrashesModel    400 crashes_model: llama-server crashed twice on this request alone
│   │   └── ToolChoiceUnmet 400 tool_choice_unmet: the model did not call the required tool
│   ├── Unauthorized        401 invalid_api_key
│   ├── OutOfCredit         402 insufficient_quota
│   ├── Forbidden           403 forbidden
│   ├── NotFound            404 not_found
│   │   └── ModelNotFound   404 model_not_found
│   ├── MethodNotAllowed    405 method_not_allowed
│   ├── RequestTimeout      408 request_timeout: the rest of the body never arrived
│   ├── BodyTooLarge        413 request_too_large
│   ├── HeadTooLarge        431 head_too_large
│   └── BackendStatusError  any other 4xx of the backend, passed through
├── Unavailable             503 backend_unavailable: a later request may succeed
│   ├── ModelLoading        503 model_loading
│   ├── ModelUnloaded       503 model_unloaded: a GET does not load a model
│   ├── Overloaded          503 busy: MAX_REQUESTS are in flight
│   └── ChildFailed         503 child_failed
├── BackendFailed           5xx of the backend, passed through
├── InvalidBackendResponse  502 bad_answer: neither SSE nor JSON, or empty
├── AnswerInterrupted       502 answer_interrupted: the answer stopped in the middle
│   └── BackendDisconnected 502 answer_interrupted: the connection was lost
├── BackendTimeout          504 backend_timeout
├── ProxyLoop               508 loop: the request passed through this proxy before
└── ShuttingDown            503 stopping: this proxy is shutting down
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from proxy.printable import encodable

# OpenCode 1.18 retries a 4xx whose body contains one of these.
_RETRY_WORDS = re.compile(
    r"429|500|502|503|504|524|"
    r"rate increased too quickly|rate[ _-]limit|too many requests|overloaded|"
    r"service[ _-]unavailable|internal[ _]error|"
    r"internal server error|server[ _-]error|provider[ _-]returned[ _-]error|terminated|"
    r"fetch failed|failed to fetch|network[-_\s]error|upstream connect|"
    r"connection error|connection refused|connection lost|socket connection was closed|"
    r"socket hang up|reset before headers|getaddrinfo|"
    r"enotfound|eai_again|econnrefused|econnreset|etimedout|"
    r"(?:request|response|connection|network|stream|read) (?:timeout|timed out|time out)|"
    r"^timeout$|try your request again|retry your request|resource[ _]exhausted|"
    r"try again (?:later|in\b)|"
    r"(?:currently|temporarily) at capacity",
    re.IGNORECASE,
)
# OpenCode 1.18 and 2 compact the conversation if an error contains one of these.
_OVERFLOW_WORDS = re.compile(
    r"context[ _](?:length|window|size)|(?:prompt|input) (?:is )?too long|too many tokens|"
    r"token limit|reduce the length|"
    r"exceeds (?:the )?(?:limit of|maximum)|maximum (?:prompt|allowed input) length|"
    r"more than max tokens|"
    r"(?:request|payload)(?: entity)?[ _]too[ _]large",
    re.IGNORECASE,
)
_LONG_NUMBER = re.compile(r"(?<![\d.,])\d{4,}(?![\d.,]*\d)|\d{4,}")
_RETRYABLE_STATUSES = frozenset({408, 409, 425, 429})
_PERMANENT_STATUSES = frozenset({501, 505, 508})
_ECHO = re.compile(r"(Failed to parse \w[^:]*):.*", re.DOTALL)
_SUMMARY_LIMIT = 300  # characters
# Characters of a message that reach the client: a backend may quote a whole conversation.
_MESSAGE_LIMIT = 16_384
_WORD_JOINER = "\u2060"  # invisible: a person still reads the words, a client's pattern misses them


def neutralize(message: str) -> str:
    """Return `message` with the words broken up that make OpenCode retry or compact.

    Otherwise OpenCode repeats a hopeless request for a minute, or compacts a conversation that was
    not too long.
    """
    message = _LONG_NUMBER.sub(
        lambda found: f"{int(found[0]):,}" if len(found[0]) <= 18 else found[0],
        message[:_MESSAGE_LIMIT],
    )
    for signs in (_RETRY_WORDS, _OVERFLOW_WORDS):
        message = signs.sub(lambda found: found[0][0] + _WORD_JOINER + found[0][1:], message)
    return message


class BridgeError(Exception):
    status: int = 500
    type: str = "server_error"
    code: ClassVar[str] = "internal_error"
    retryable: bool = True  # whether repeating the request can succeed

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = encodable(message)
        self.param = param
        self._headers = dict(headers or {})
        if retryable is not None:
            self.retryable = retryable

    @property
    def headers(self) -> dict[str, str]:
        """Return the response headers, with `x-should-retry: false` if a retry is useless.

        OpenCode 2 and the OpenAI and Anthropic SDKs check this header before anything else.
        """
        return self._headers if self.retryable else self._headers | {"x-should-retry": "false"}

    @property
    def summary(self) -> str:
        """Return one line for the log, without text that a model wrote.

        Older versions of llama.cpp quote the model's output in their errors.
        """
        return _ECHO.sub(r"\1", self.message.partition("\n")[0][:_SUMMARY_LIMIT])

    def body(self) -> dict[str, Any]:
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }


class ClientError(BridgeError):
    status = 400
    type = "invalid_request_error"
    code = "refused"
    retryable = False

    def body(self) -> dict[str, Any]:
        return {
            "error": {
                "message": neutralize(self.message),
                "type": "invalid_request_error" if _RETRY_WORDS.search(self.type) else self.type,
                "param": None if self.param is None else neutralize(self.param),
                "code": self.code,
            }
        }


class BadRequest(ClientError):
    code = "invalid_request"


class ContextOverflow(BadRequest):
    """The prompt does not fit into the context.

    Its message is not neutralized: clients recognize the wording and compact the conversation.
    """

    code = "context_length_exceeded"

    def __init__(
        self, message: str, *, context: int | None = None, prompt: int | None = None
    ) -> None:
        super().__init__(message)
        self.numbers = {"n_ctx": context, "n_prompt_tokens": prompt}

    def body(self) -> dict[str, Any]:
        error = BridgeError.body(self)["error"]
        return {
            "error": error
            | {key: value for key, value in self.numbers.items() if value is not None}
        }


class BackendRefused(BadRequest):
    code = "backend_refused"


class CrashesModel(BadRequest):
    code = "crashes_model"


class ToolChoiceUnmet(BadRequest):
    code = "tool_choice_unmet"


class Unauthorized(ClientError):
    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class OutOfCredit(ClientError):
    """The account has no credit left: neither a rate limit (429) nor an invalid key (401)."""

    status = 402
    type = "insufficient_quota"
    code = "insufficient_quota"


class Forbidden(ClientError):
    status = 403
    type = "permission_error"
    code = "forbidden"


class NotFound(ClientError):
    status = 404
    type = "not_found_error"
    code = "not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class MethodNotAllowed(ClientError):
    status = 405
    code = "method_not_allowed"


class RequestTimeout(ClientError):
    status = 408
    code = "request_timeout"
    retryable = True


class BodyTooLarge(ClientError):
    status = 413
    code = "request_too_large"


class HeadTooLarge(ClientError):
    status = 431
    code = "head_too_large"


class BackendStatusError(ClientError):
    """A 4xx of the backend, passed through with its own status and message."""

    code = "backend_refused"

    def __init__(
        self, message: str, *, status: int, type: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, headers=headers, retryable=status in _RETRYABLE_STATUSES)
        self.status = status
        self.type = type

    def body(self) -> dict[str, Any]:
        """Return the JSON body; a 429 keeps its wording.

        Clients read the kind of limit from the message of a 429.
        """
        return BridgeError.body(self) if self.status == 429 else super().body()


class Unavailable(BridgeError):
    status = 503
    type = "unavailable_error"
    code = "backend_unavailable"


class ModelLoading(Unavailable):
    code = "model_loading"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"retry-after": "5"})


class ModelUnloaded(Unavailable):
    """The model is unloaded, and this kind of request does not load it."""

    code = "model_unloaded"


class Overloaded(Unavailable):
    code = "busy"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"retry-after": "1"})


class ChildFailed(Unavailable):
    code = "child_failed"
    retryable = False


class ShuttingDown(Unavailable):
    code = "stopping"


class BackendFailed(BridgeError):
    code = "backend_failed"

    def __init__(
        self, message: str, *, status: int = 500, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, headers=headers, retryable=status not in _PERMANENT_STATUSES)
        self.status = status


class InvalidBackendResponse(BridgeError):
    status = 502
    code = "bad_answer"


class AnswerInterrupted(BridgeError):
    """The answer stopped in the middle; the message and type make OpenCode retry."""

    status = 502
    code = "answer_interrupted"


class BackendDisconnected(AnswerInterrupted):
    """The connection to the backend was lost in the middle of an answer.

    If the backend is our own llama-server, it is restarted and the answer can be resumed.
    """


class BackendTimeout(BridgeError):
    status = 504
    type = "timeout_error"
    code = "backend_timeout"


class ProxyLoop(BridgeError):
    status = 508
    type = "loop_error"
    code = "loop"
    retryable = False
