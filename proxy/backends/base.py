"""How every backend is asked. A kind that is odd in some way is a subclass in a file of its own, with only its oddities."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import httpx
import orjson

from proxy.backends.address import Address
from proxy.backends.http import PROBE_TIMEOUTS, Http
from proxy.backends.models import Model, choose, knows, models_in
from proxy.backends.place import Place
from proxy.backends.raw import RawWay
from proxy.backends.refusals import meaning
from proxy.backends.reply import Reply
from proxy.errors import BadAnswer, BridgeError, NotFound, TimedOut
from proxy.requests.preparation import Needs, prepare
from proxy.requests.question import Question

Headers = Sequence[tuple[bytes, bytes]]
_MODELS_KEPT = 30.0  # seconds; a name that is not in the list is looked for again after one


@dataclass(frozen=True, slots=True)
class Facts:
    """What a backend tells of itself."""

    model: str | None = None
    context: int | None = None
    template_has_tools: bool | None = None


class Backend:
    kind: ClassVar[str]
    never_forwarded: ClassVar[frozenset[bytes]] = frozenset()
    counts_tokens: ClassVar[bool] = False
    needs = Needs()

    def __init__(self, http: Http, place: Place, wanted_model: str | None = None) -> None:
        self.http = http
        self.place = place
        self.wanted_model = wanted_model
        self._models: list[Model] = []
        self._models_at = float("-inf")

    @classmethod
    def recognises(cls, _headers: Mapping[str, str], _models: list[Model]) -> bool:
        """Whether the answer to GET /models shows this kind."""
        return False

    async def ask(self, question: Question, headers: Headers) -> httpx.Response:
        """The accepted question: an answer with status 200, its body unread. A refusal is raised as what it means."""
        model = await self.model_for(question.model)
        try:
            return await self.accepted(prepare(question, self.needs, model), headers)
        except BridgeError as error:
            if error.status not in (400, 422) or not self.needs.stream_options or "stream_options" not in error.message:
                raise
        self.needs = replace(self.needs, stream_options=False)
        return await self.accepted(prepare(question, self.needs, model), headers)

    async def accepted(self, body: bytes, headers: Headers, path: str = "/v1/chat/completions") -> httpx.Response:
        response = await self._post(body, headers, path)
        if response.status_code != 200:
            raise await self._refusal(response)
        return response

    def raw_way(self) -> RawWay | None:
        """How to get the answer without the backend's own parser, where it has one that can be left out."""
        return None

    def reply(self) -> Reply:
        return Reply()

    def meaning(self, status: int, body: bytes, headers: Mapping[str, str]) -> BridgeError:
        return meaning(status, body, headers)

    async def refuse_overflow(self, question: Question) -> None:
        """Raises ContextOverflow where the size of the prompt can be had, and is too large."""

    async def models(self, kept: float = _MODELS_KEPT) -> list[Model]:
        if time.monotonic() - self._models_at > kept:
            self._models = models_in(await self.get_json("/v1/models"))
            self._models_at = time.monotonic()
        return self._models

    async def model_for(self, asked: str | None) -> str | None:
        try:
            models = await self.models()
            if not knows(models, asked):
                models = await self.models(kept=1.0)
        except TimedOut:
            models = self._models  # some servers list nothing while they generate
        return choose(models, asked, self.wanted_model)

    async def facts(self) -> Facts:
        """A quick question that also shows whether a request would be served now."""
        models = await self.models(kept=0.0)
        name = self.wanted_model or (models[0].id if len(models) == 1 else None)
        return Facts(model=name, context=next((model.context for model in models if model.id == name), None))

    async def get_json(self, path: str) -> Any:
        request = httpx.Request("GET", await self._url(path), headers=await self._authorized([]), extensions={"timeout": PROBE_TIMEOUTS})
        response = await self.http.ask(request)
        if response.status_code != 200:
            raise await self._refusal(response)
        return await self._json(response)

    async def post_json(self, path: str, body: bytes) -> Any:
        return await self._json(await self.accepted(body, [], path))

    async def _json(self, response: httpx.Response) -> Any:
        try:
            return orjson.loads(await self.http.read(response))
        except orjson.JSONDecodeError:
            raise BadAnswer("the backend answered with something that is no JSON; is BACKEND_URL the base of its API?") from None

    async def _post(self, body: bytes, headers: Headers, path: str) -> httpx.Response:
        sent = [*await self._authorized(headers), (b"content-type", b"application/json"), (b"accept-encoding", b"identity")]
        return await self.http.ask(httpx.Request("POST", await self._url(path), headers=sent, content=body))

    async def _url(self, path: str) -> str:
        address = await self.place.address()
        url = address.of(path)
        if url is None:
            raise NotFound(f"{path} lies outside the API of {address.host}, and nothing else is asked there")
        return url

    async def _authorized(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        return authorized(await self.place.address(), headers)

    async def _refusal(self, response: httpx.Response) -> BridgeError:
        return self.meaning(response.status_code, await self.http.read(response), response.headers)


def authorized(address: Address, headers: Headers) -> list[tuple[bytes, bytes]]:
    return [*headers, (b"authorization", b"Bearer " + address.key.encode())] if address.key else list(headers)
