"""Backend for the server of llama-cpp-python.

The server processes one request at a time, and by default any other request, even for the model
list, interrupts the answer in progress. So requests are serialized here. Its default repeat penalty
breaks JSON and tags, so the penalty is switched off. A stream that fails at the start is empty, so
the request is repeated without streaming to get the error message.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, ClassVar

import httpx

from proxy import exact_json
from proxy.backends.base import MODELS_TTL, Backend, Headers
from proxy.backends.models import ModelInfo
from proxy.backends.server_info import ModelsResponse
from proxy.chat_request.backend_body import Capabilities, build_body
from proxy.chat_request.request import ChatRequest
from proxy.errors import BackendFailed, BackendRefused, BridgeError

# The server reports an invalid request as an internal error, which lists a validation error for
# every type that the field could have.
_SEARCH_LIMIT = 16_384  # characters; only the first validation error is used
_UNREADABLE = re.compile(
    r"""\d+ validation errors?:\n.*?'loc': \('body', (?P<place>'[^']*'(, \d+)*)"""
    r""".*?'msg': (["'])(?P<reason>.*?)\3""",
    re.DOTALL,
)


class LlamaCppPython(Backend):
    kind: ClassVar[str] = "llama_cpp_python"
    capabilities = Capabilities(
        max_completion_tokens=False,
        join_text=True,
        ignored_fields=frozenset({"n"}),
        defaults=(("repeat_penalty", 1.0),),
    )

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._lock = asyncio.Lock()

    @classmethod
    def matches(cls, seen: ModelsResponse) -> bool:
        return (seen.owned_by("me") and seen.has_key("permissions")) or seen.owned_by(
            "llama-cpp-python"
        )

    async def send_chat(self, request: ChatRequest, headers: Headers) -> httpx.Response:
        await self._lock.acquire()
        try:
            # The list is optional: the server may be busy with other clients, or not have one.
            with contextlib.suppress(BridgeError):
                await super().models()
            response = await super().send_chat(request, headers)
        except BaseException:  # also on cancellation: the next request must get the lock
            self._lock.release()
            raise
        # An async transport returns no other type.
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _ExclusiveStream(
            response.stream, self._lock.release, lambda: self._raise_refusal(request, headers)
        )
        return response

    def map_error(self, status: int, body: bytes, headers: Mapping[str, str]) -> BridgeError:
        error = super().map_error(status, body, headers)
        if isinstance(error, BackendFailed) and (
            unreadable := _UNREADABLE.match(error.message[:_SEARCH_LIMIT])
        ):
            place = unreadable["place"].replace(", ", ".").replace("'", "")
            return BackendRefused(
                f"llama-cpp-python rejects {place}: {unreadable['reason']}", param=place
            )
        return error

    @property
    def busy(self) -> bool:
        return self._lock.locked()

    def exclusive(self) -> contextlib.AbstractAsyncContextManager[object]:
        return self._lock

    async def _raise_refusal(self, request: ChatRequest, headers: Headers) -> None:
        body = exact_json.loads(build_body(request, self.capabilities, None)) | {
            "stream": False,
            "max_tokens": 1,
        }
        await (await self.post(exact_json.dumps(body), headers)).aclose()

    async def models(self, max_age: float = MODELS_TTL) -> list[ModelInfo]:
        if self.busy:
            return self._models
        async with self._lock:  # a request for the list would interrupt an answer too
            return await super().models(max_age)


class _ExclusiveStream(httpx.AsyncByteStream):
    """Response body that releases the lock when it is closed."""

    def __init__(
        self,
        stream: httpx.AsyncByteStream,
        on_close: Callable[[], None],
        on_empty: Callable[[], Awaitable[None]],
    ) -> None:
        self._stream = stream
        self._on_close = on_close
        self._on_empty = on_empty

    async def __aiter__(self) -> AsyncIterator[bytes]:
        is_empty = True
        async for piece in self._stream:
            is_empty = False
            yield piece
        if is_empty:
            await self._on_empty()

    async def aclose(self) -> None:
        on_close, self._on_close = self._on_close, lambda: None
        try:
            await self._stream.aclose()
        finally:
            on_close()
