"""How every backend is asked.

A kind that is odd in some way is a subclass in a file of its own, with only its oddities.
"""

import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, ClassVar, Self

import httpx
import orjson

from proxy.backends import relaxation
from proxy.backends.address import Address
from proxy.backends.error_mapping import meaning
from proxy.backends.http import PROBE_TIMEOUTS, Http
from proxy.backends.llama_cpp.client import RawWay
from proxy.backends.models import Model, choose, knows, models_in
from proxy.backends.provider import Place
from proxy.backends.response_reader import Reply
from proxy.backends.server_info import Facts, Seen
from proxy.chat_request.backend_body import Needs, prepare, unread
from proxy.chat_request.offload import offload
from proxy.chat_request.request import Question
from proxy.errors import (
    BackendFailed,
    BadAnswer,
    BridgeError,
    ModelNotFound,
    NotFound,
    Refused,
    TimedOut,
    Unavailable,
    Vanished,
)
from proxy.parsing.dialect import Hint

Headers = Sequence[tuple[bytes, bytes]]
Look = Callable[[str], Awaitable[bytes]]
"""What stands at a path of a server at home; nothing where nothing is."""

# Some doors in the world stay shut to who does not say who he is.
_OURSELVES = (b"user-agent", b"llama-bridge")
_OF_THE_MOMENT = (429, 502, 503, 504)  # such a status says nothing about the kind of server
MODELS_KEPT = 30.0  # seconds
_LOOK_AGAIN = 1.0  # seconds
_MISSED_KEPT = 1000


class Backend:
    kind: ClassVar[str]
    never_forwarded: ClassVar[frozenset[bytes]] = frozenset()
    needs = Needs()

    def __init__(
        self,
        http: Http,
        place: Place,
        wanted_model: str | None = None,
        *,
        text_is_read: bool = True,
    ) -> None:
        self.http = http
        self.place = place
        self.wanted_model = wanted_model
        self.text_is_read = text_is_read  # calls that a model writes as text are found
        self._models: list[Model] = []
        self._models_at = float("-inf")
        # A look at the models failed: a chat does not look again before.
        self._unlisted_until = float("-inf")
        self._missed: set[str | None] = set()  # names that a fresh list did not have

    def at(self, place: Place) -> Self:
        """This backend for one request, where it has a place of its own."""
        if place is self.place:
            return self
        other = copy(self)
        other.place, other.wanted_model = place, place.model() or self.wanted_model
        return other

    @classmethod
    def recognises(cls, _seen: Seen) -> bool:
        """Whether the answer to GET /models shows this kind."""
        return False

    @classmethod
    async def greets(cls, _look: Look) -> bool:
        """Whether a server at home whose models show nothing says by other ways that it is of
        this kind.
        """
        return False

    async def ask(self, question: Question, headers: Headers) -> httpx.Response:
        """The accepted question: an answer with status 200, its body unread.

        A refusal is raised as what it means.
        """
        model = await self.model_for(question.model)
        headers = self.headers(question, headers)
        needs = self.needs  # several may be asking while the first of them learns better
        body = await offload(question.size, prepare, question, needs, model)
        while True:
            try:
                return await self.accepted(body, headers)
            except BridgeError as error:
                easier = self.easier(error, needs) if error.status in (400, 422) else None
                if (
                    easier is None
                    or (other := await offload(question.size, prepare, question, easier, model))
                    == body
                ):
                    if error.status not in _OF_THE_MOMENT:
                        self.http.doubt()
                    raise
            needs, body = easier, other

    async def accepted(
        self, body: bytes, headers: Headers, path: str = "/v1/chat/completions"
    ) -> httpx.Response:
        response = await self._ask(lambda address: _post(path, address, body, headers))
        if response.status_code != 200:
            raise await self._refusal(response)
        return response

    def headers(self, _question: Question, headers: Headers) -> Headers:
        """What goes with a question besides its body."""
        return headers

    def easier(self, error: BridgeError, needs: Needs) -> Needs | None:
        """How to ask again without what was refused, if that can be left out.

        What holds for every question is remembered.
        """
        if not (change := relaxation.change(error.message, needs)):
            return None
        self.needs = replace(self.needs, **change)
        return replace(needs, **change)

    def remark(self, question: Question) -> str:
        """What a person should read in the log about this question, if anything."""
        fields = unread(question, self.needs)
        return f"{self.kind} does not read {', '.join(fields)}" if fields else ""

    def hint(self, asked: str | None) -> Hint:
        """What is known of the model that answers, beside its answer."""
        known = [name for name in (asked, self.wanted_model) if knows(self._models, name)]
        return Hint(model=(known or [model.id for model in self._models[:1]] or [asked])[0] or "")

    @property
    def busy(self) -> bool:
        """Whether any further question, also one about the server itself, would cut an answer."""
        return False

    def forget(self) -> None:
        """Read again what is known of the server: it may be another one of the same kind."""
        self._models_at = self._unlisted_until = float("-inf")

    def takes_context(self, _path: str) -> bool:
        """Whether a request that passes through to `path` takes part of the context that all
        requests share.
        """
        return False

    def turn(self) -> contextlib.AbstractAsyncContextManager[object]:
        """Around what is asked by the pass-through, where only one question may be under way."""
        return contextlib.nullcontext()

    def raw_way(self) -> RawWay | None:
        """How to get an answer without the backend's own parser, where it has one that can be
        left out.
        """
        return None

    def reply(self, tools: tuple[Any, ...] = ()) -> Reply:
        """Return a reader for one answer; it converts arguments by the schemas of `tools`."""
        return Reply(tools)

    def meaning(self, status: int, body: bytes, headers: Mapping[str, str]) -> BridgeError:
        return meaning(status, body, headers)

    async def admit(self, question: Question) -> None:
        """Wait until the server has room for this request, where it has to be waited for."""

    async def refuse_overflow(self, _question: Question) -> bool:
        """Raises ContextOverflow where the prompt is known to be too large; True where it is
        known to fit.
        """
        return False

    async def models(self, kept: float = MODELS_KEPT) -> list[Model]:
        if (known := self.place.models()) is not None:
            return known
        if time.monotonic() - self._models_at > kept:
            self._models = await self.list_models()
            self._models_at = time.monotonic()
        return self._models

    async def list_models(self) -> list[Model]:
        return models_in(
            await self._json(await self._ask(lambda address: probe(address, "/v1/models")))
        )

    async def model_for(self, asked: str | None) -> str | None:
        """Return the model that a client means.

        A name that is not in the list is looked for once in a fresh one, not at each chat.
        """
        models = await self._listed(MODELS_KEPT)
        if not knows(models, asked) and asked not in self._missed:
            models = await self._listed(_LOOK_AGAIN)
            if len(self._missed) >= _MISSED_KEPT:
                self._missed.clear()
            self._missed.add(asked)
        try:
            return choose(models, asked, self.wanted_model)
        except ModelNotFound:  # it may have been loaded since: nothing is lost by another look
            return choose(await self._listed(_LOOK_AGAIN), asked, self.wanted_model)

    async def _listed(self, kept: float) -> list[Model]:
        """Return the models as far as they are known: a chat may be answered though the list is
        not.

        A server that refuses the list has none: it is asked again when a list would be. One that
        fails may be busy generating.
        """
        if time.monotonic() < self._unlisted_until:
            return self._models
        try:
            return await self.models(kept)
        except (Refused, TimedOut, BackendFailed, BadAnswer) as error:
            self._unlisted_until = time.monotonic() + (
                _LOOK_AGAIN if error.may_pass else MODELS_KEPT
            )
            return self._models

    async def facts(self, kept: float = 0.0) -> Facts:
        """A quick question that also shows whether a request would be served now."""
        models = await self.models(kept)
        name = self.wanted_model
        with contextlib.suppress(BridgeError):  # several, and none was chosen: the client names one
            name = choose(models, None, self.wanted_model)
        known = next((model for model in models if model.id == name), Model(""))
        return Facts(model=name, context=known.context, inputs=known.inputs)

    async def get_json(self, path: str) -> Any:
        """A look at what is there now: nobody is waited for who has just gone."""
        return await self._json(await self.http.ask(probe(await self.place.address(), path)))

    async def json_if_any(self, path: str, body: Any = None) -> Any:
        """What is good to know, and may be missing: None then."""
        address = await self.place.address()
        if address.of(path) is None:
            return None
        with contextlib.suppress(BridgeError):
            return await self._json(await self.http.ask(probe(address, path, body)))
        return None

    async def post_json(self, path: str, body: bytes) -> Any:
        return await self._json(await self.accepted(body, [], path))

    async def _json(self, response: httpx.Response) -> Any:
        if response.status_code != 200:
            raise await self._refusal(response)
        try:
            return orjson.loads(await self.http.read(response))
        except orjson.JSONDecodeError:
            raise BadAnswer(
                (
                    "the backend answered with something that is no JSON; "
                    "is BACKEND_URL the base of its API?"
                ),
                may_pass=False,
            ) from None

    async def _ask(self, request: Callable[[Address], httpx.Request]) -> httpx.Response:
        address = await self.place.address()
        try:
            return await self.http.ask(request(address))
        # Nobody there, or nobody who answered: it may just have died.
        except (Unavailable, Vanished):
            if (other := await self.place.after(address)) is None:
                raise
        return await self.http.ask(request(other))

    async def _refusal(self, response: httpx.Response) -> BridgeError:
        return self.meaning(response.status_code, await self.http.read(response), response.headers)


def probe(address: Address, path: str, body: Any = None) -> httpx.Request:
    """A quick question of our own."""
    headers, extensions = authorized(address, [_OURSELVES]), {"timeout": PROBE_TIMEOUTS}
    return httpx.Request(
        "GET" if body is None else "POST",
        _url(path, address),
        headers=headers,
        json=body,
        extensions=extensions,
    )


def _post(path: str, address: Address, body: bytes, headers: Headers) -> httpx.Request:
    sent = [
        *authorized(address, headers),
        (b"content-type", b"application/json"),
        (b"accept-encoding", b"identity"),
    ]
    return httpx.Request("POST", _url(path, address), headers=sent, content=body)


def _url(path: str, address: Address) -> str:
    if (url := address.of(path)) is None:
        raise NotFound(
            f"{path} lies outside the API of {address.host}, and nothing else is asked there"
        )
    return url


def authorized(address: Address, headers: Headers) -> list[tuple[bytes, bytes]]:
    return (
        [*headers, (b"authorization", b"Bearer " + address.key.encode())]
        if address.key
        else list(headers)
    )
