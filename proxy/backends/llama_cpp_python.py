"""llama-cpp-python's server.

It answers one question at a time, and by default whoever else asks, be it for its models, cuts the
answer that is under way. So questions wait for each other here, and nothing else is asked
meanwhile. It punishes every repetition unless told not to, which JSON and tags do not survive. It
never counts tokens in a stream, and a stream that fails before its first word is empty: the reason
is told only to who does not stream.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, ClassVar

import httpx

from proxy import exact_json
from proxy.backends.base import MODELS_KEPT, Backend, Headers
from proxy.backends.models import Model
from proxy.backends.server_info import Seen
from proxy.chat_request.backend_body import Needs, prepare
from proxy.chat_request.request import Question
from proxy.errors import BackendFailed, BackendRefused, BridgeError

# It calls a question that it cannot read its own failure, and tells everything that the question
# might have been.
_SEARCHED = 16_384  # letters; the first of the errors is enough
_UNREADABLE = re.compile(
    r"""\d+ validation errors?:\n.*?'loc': \('body', (?P<place>'[^']*'(, \d+)*)"""
    r""".*?'msg': (["'])(?P<reason>.*?)\3""",
    re.DOTALL,
)


class LlamaCppPython(Backend):
    kind: ClassVar[str] = "llama_cpp_python"
    needs = Needs(
        max_completion_tokens=False,
        joined_text=True,
        unread=frozenset({"n"}),
        unless_said=(("repeat_penalty", 1.0),),
    )

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._turn = asyncio.Lock()

    @classmethod
    def recognises(cls, seen: Seen) -> bool:
        return (seen.owned_by("me") and seen.tells("permissions")) or seen.owned_by(
            "llama-cpp-python"
        )

    async def ask(self, question: Question, headers: Headers) -> httpx.Response:
        await self._turn.acquire()
        try:
            # Somebody else keeps it busy, or it does not list its models.
            with contextlib.suppress(BridgeError):
                await super().models()
            response = await super().ask(question, headers)
        except BaseException:  # also a client that leaves: its turn goes to the next
            self._turn.release()
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)  # what an async transport gives
        response.stream = _Turn(
            response.stream, self._turn.release, lambda: self._refuse_aloud(question, headers)
        )
        return response

    def meaning(self, status: int, body: bytes, headers: Mapping[str, str]) -> BridgeError:
        error = super().meaning(status, body, headers)
        if isinstance(error, BackendFailed) and (
            unreadable := _UNREADABLE.match(error.message[:_SEARCHED])
        ):
            place = unreadable["place"].replace(", ", ".").replace("'", "")
            return BackendRefused(
                f"{place} is not as llama-cpp-python takes it: {unreadable['reason']}", param=place
            )
        return error

    @property
    def busy(self) -> bool:
        return self._turn.locked()

    def turn(self) -> contextlib.AbstractAsyncContextManager[object]:
        return self._turn

    async def _refuse_aloud(self, question: Question, headers: Headers) -> None:
        body = exact_json.loads(prepare(question, self.needs, None)) | {
            "stream": False,
            "max_tokens": 1,
        }
        await (await self.accepted(exact_json.dumps(body), headers)).aclose()

    async def models(self, kept: float = MODELS_KEPT) -> list[Model]:
        if self.busy:
            return self._models
        async with self._turn:  # a look that is under way would cut an answer too
            return await super().models(kept)


class _Turn(httpx.AsyncByteStream):
    """An answer at whose end the next question may be asked."""

    def __init__(
        self,
        stream: httpx.AsyncByteStream,
        over: Callable[[], None],
        if_empty: Callable[[], Awaitable[None]],
    ) -> None:
        self._stream = stream
        self._over = over
        self._if_empty = if_empty

    async def __aiter__(self) -> AsyncIterator[bytes]:
        is_empty = True
        async for piece in self._stream:
            is_empty = False
            yield piece
        if is_empty:
            await self._if_empty()

    async def aclose(self) -> None:
        over, self._over = self._over, lambda: None
        try:
            await self._stream.aclose()
        finally:
            over()
