"""Everything that can go wrong between a client and a model, as one tree; each leaf knows its
status, its JSON, and whether it may pass: where it may not, the answer carries
`x-should-retry: false`.

BridgeError
├── ClientError             4xx: asking again the same way is useless
│   ├── BadRequest          400 invalid_request
│   │   ├── ContextOverflow 400 context_length_exceeded
│   │   ├── BackendRefused  400 backend_refused
│   │   ├── CrashesModel    400 crashes_model: the child crashed twice while it was its only request
│   │   └── ToolChoiceUnmet 400 tool_choice_unmet: the model did not call the tool that had to be
│   │                           called
│   ├── Unauthorized        401 invalid_api_key
│   ├── OutOfCredit         402 insufficient_quota
│   ├── Forbidden           403 forbidden
│   ├── NotFound            404 not_found
│   │   └── ModelNotFound   404 model_not_found
│   ├── MethodNotAllowed    405 method_not_allowed
│   ├── RequestTimeout      408 request_timeout: the rest of it never came
│   ├── BodyTooLarge        413 request_too_large
│   ├── HeadTooLarge        431 head_too_large
│   └── BackendStatusError  any other 4xx of the backend, passed on
├── Unavailable             503 backend_unavailable: later it may work
│   ├── ModelLoading        503 model_loading
│   ├── ModelUnloaded       503 model_unloaded: a GET loads no model
│   ├── Overloaded          503 busy: as many requests as MAX_REQUESTS allows
│   └── ChildFailed         503 child_failed
├── BackendFailed           5xx of the backend, passed on
├── InvalidBackendResponse  502 bad_answer: neither SSE nor JSON, or nothing at all
├── AnswerInterrupted       502 answer_interrupted: the answer stopped in the middle
│   └── BackendDisconnected 502 answer_interrupted: because the server has gone
├── BackendTimeout          504 backend_timeout
├── ProxyLoop               508 loop: the request has been here before
└── ShuttingDown            503 stopping: this proxy is shutting down
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from proxy.printable import encodable

# What OpenCode 1.18 looks for in the body of a refusal to decide that asking again may help.
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
# What both OpenCode 1.18 and 2 look for in order to shorten the conversation.
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
_SUMMARY_LIMIT = 300  # letters
# Letters of a message that a client gets; a backend may put a whole conversation into it.
_MESSAGE_LIMIT = 16_384
_WORD_JOINER = "\u2060"  # has no width: the eye reads the words, a client's pattern does not


def neutralize(message: str) -> str:
    """Return `message` without the words that clients act upon: for the first OpenCode asks again
    for a minute, for the second it shortens a conversation that was not too long."""
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
    retryable: bool = True  # asked again, the answer may be another

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
        """What goes with the status.

        OpenCode 2 and the SDKs of OpenAI and Anthropic heed `x-should-retry` before anything else.
        """
        return self._headers if self.retryable else self._headers | {"x-should-retry": "false"}

    @property
    def summary(self) -> str:
        """For the log: one line, and nothing of what a model wrote (older llama.cpp puts it into
        its errors).
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
    """The one refusal whose words stay as they are: clients know the sentence and shorten the
    conversation.
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
    """No passing trouble (429), and no fault of the key (401): somebody has to pay."""

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
    """A refusal of the backend that needs no other words than its own."""

    code = "backend_refused"

    def __init__(
        self, message: str, *, status: int, type: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, headers=headers, retryable=status in _RETRYABLE_STATUSES)
        self.status = status
        self.type = type

    def body(self) -> dict[str, Any]:
        """A 429 is a passing trouble: its words stay, since clients also look in them for what
        kind of limit it is.
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
    """The next request that needs the model loads it; a request that only looks does not."""

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
    """In the middle of an answer: the words and the type are the ones that make OpenCode ask
    again.
    """

    status = 502
    code = "answer_interrupted"


class BackendDisconnected(AnswerInterrupted):
    """Who answered is no longer there. Our own child has another life, which may go on."""


class BackendTimeout(BridgeError):
    status = 504
    type = "timeout_error"
    code = "backend_timeout"


class ProxyLoop(BridgeError):
    status = 508
    type = "loop_error"
    code = "loop"
    retryable = False
