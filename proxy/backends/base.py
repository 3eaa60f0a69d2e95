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
from proxy.backends.address import BackendAddress
from proxy.backends.error_mapping import map_error
from proxy.backends.http import PROBE_TIMEOUTS, HttpClient
from proxy.backends.llama_cpp.client import RawMode
from proxy.backends.models import ModelInfo, choose_model, has_model, parse_models
from proxy.backends.provider import Provider
from proxy.backends.response_reader import ResponseReader
from proxy.backends.server_info import BackendInfo, ModelsResponse
from proxy.chat_request.backend_body import Capabilities, build_body, ignored_by
from proxy.chat_request.offload import offload
from proxy.chat_request.request import ChatRequest
from proxy.errors import (
    BackendDisconnected,
    BackendFailed,
    BackendTimeout,
    BridgeError,
    ClientError,
    InvalidBackendResponse,
    ModelNotFound,
    NotFound,
    Unavailable,
)
from proxy.parsing.dialect import ModelHint

Headers = Sequence[tuple[bytes, bytes]]
FetchPath = Callable[[str], Awaitable[bytes]]
"""What stands at a path of a server at home; nothing where nothing is."""

# Some doors in the world stay shut to who does not say who he is.
_USER_AGENT = (b"user-agent", b"llama-bridge")
_TRANSIENT_STATUSES = (429, 502, 503, 504)  # such a status says nothing about the kind of server
MODELS_TTL = 30.0  # seconds
_MODELS_MIN_TTL = 1.0  # seconds
_UNKNOWN_NAMES_LIMIT = 1000


class Backend:
    kind: ClassVar[str]
    dropped_headers: ClassVar[frozenset[bytes]] = frozenset()
    capabilities = Capabilities()

    def __init__(
        self,
        http: HttpClient,
        provider: Provider,
        default_model: str | None = None,
        *,
        parses_text: bool = True,
    ) -> None:
        self.http = http
        self.provider = provider
        self.default_model = default_model
        self.parses_text = parses_text  # calls that a model writes as text are found
        self._models: list[ModelInfo] = []
        self._models_fetched_at = float("-inf")
        # A look at the models failed: a chat does not look again before.
        self._list_failed_until = float("-inf")
        self._unknown_names: set[str | None] = set()  # names that a fresh list did not have

    def for_request(self, provider: Provider) -> Self:
        """This backend for one request, where it has a place of its own."""
        if provider is self.provider:
            return self
        other = copy(self)
        other.provider, other.default_model = provider, provider.model() or self.default_model
        return other

    @classmethod
    def matches(cls, _seen: ModelsResponse) -> bool:
        """Whether the answer to GET /models shows this kind."""
        return False

    @classmethod
    async def probe(cls, _look: FetchPath) -> bool:
        """Whether a server at home whose models show nothing says by other ways that it is of
        this kind.
        """
        return False

    async def send_chat(self, request: ChatRequest, headers: Headers) -> httpx.Response:
        """The accepted question: an answer with status 200, its body unread.

        A refusal is raised as what it means.
        """
        model = await self.resolve_model(request.model)
        headers = self.request_headers(request, headers)
        capabilities = (
            self.capabilities
        )  # several may be asking while the first of them learns better
        body = await offload(request.size, build_body, request, capabilities, model)
        while True:
            try:
                return await self.post(body, headers)
            except BridgeError as error:
                relaxed = self.relax(error, capabilities) if error.status in (400, 422) else None
                if (
                    relaxed is None
                    or (other := await offload(request.size, build_body, request, relaxed, model))
                    == body
                ):
                    if error.status not in _TRANSIENT_STATUSES:
                        self.http.on_stale()
                    raise
            capabilities, body = relaxed, other

    async def post(
        self, body: bytes, headers: Headers, path: str = "/v1/chat/completions"
    ) -> httpx.Response:
        response = await self._send(lambda address: _post_request(path, address, body, headers))
        if response.status_code != 200:
            raise await self._error_from(response)
        return response

    def request_headers(self, _request: ChatRequest, headers: Headers) -> Headers:
        """What goes with a question besides its body."""
        return headers

    def relax(self, error: BridgeError, capabilities: Capabilities) -> Capabilities | None:
        """How to ask again without what was refused, if that can be left out.

        What holds for every question is remembered.
        """
        if not (change := relaxation.relax(error.message, capabilities)):
            return None
        self.capabilities = replace(self.capabilities, **change)
        return replace(capabilities, **change)

    def warning_for(self, request: ChatRequest) -> str:
        """What a person should read in the log about this question, if anything."""
        fields = ignored_by(request, self.capabilities)
        return f"{self.kind} does not read {', '.join(fields)}" if fields else ""

    def model_hint(self, asked: str | None) -> ModelHint:
        """What is known of the model that answers, beside its answer."""
        known = [name for name in (asked, self.default_model) if has_model(self._models, name)]
        return ModelHint(
            model=(known or [model.id for model in self._models[:1]] or [asked])[0] or ""
        )

    @property
    def busy(self) -> bool:
        """Whether any further question, also one about the server itself, would cut an answer."""
        return False

    def invalidate(self) -> None:
        """Read again what is known of the server: it may be another one of the same kind."""
        self._models_fetched_at = self._list_failed_until = float("-inf")

    def uses_context(self, _path: str) -> bool:
        """Whether a request that passes through to `path` takes part of the context that all
        requests share.
        """
        return False

    def exclusive(self) -> contextlib.AbstractAsyncContextManager[object]:
        """Around what is asked by the pass-through, where only one question may be under way."""
        return contextlib.nullcontext()

    def raw_mode(self) -> RawMode | None:
        """How to get an answer without the backend's own parser, where it has one that can be
        left out.
        """
        return None

    def response_reader(self, tools: tuple[Any, ...] = ()) -> ResponseReader:
        """Return a reader for one answer; it converts arguments by the schemas of `tools`."""
        return ResponseReader(tools)

    def map_error(self, status: int, body: bytes, headers: Mapping[str, str]) -> BridgeError:
        return map_error(status, body, headers)

    async def admit(self, request: ChatRequest) -> None:
        """Wait until the server has room for this request, where it has to be waited for."""

    async def check_overflow(self, _request: ChatRequest) -> bool:
        """Raises ContextOverflow where the prompt is known to be too large; True where it is
        known to fit.
        """
        return False

    async def models(self, max_age: float = MODELS_TTL) -> list[ModelInfo]:
        if (known := self.provider.models()) is not None:
            return known
        if time.monotonic() - self._models_fetched_at > max_age:
            self._models = await self.list_models()
            self._models_fetched_at = time.monotonic()
        return self._models

    async def list_models(self) -> list[ModelInfo]:
        return parse_models(
            await self._read_json(
                await self._send(lambda address: probe_request(address, "/v1/models"))
            )
        )

    async def resolve_model(self, asked: str | None) -> str | None:
        """Return the model that a client means.

        A name that is not in the list is looked for once in a fresh one, not at each chat.
        """
        models = await self._models_if_known(MODELS_TTL)
        if not has_model(models, asked) and asked not in self._unknown_names:
            models = await self._models_if_known(_MODELS_MIN_TTL)
            if len(self._unknown_names) >= _UNKNOWN_NAMES_LIMIT:
                self._unknown_names.clear()
            self._unknown_names.add(asked)
        try:
            return choose_model(models, asked, self.default_model)
        except ModelNotFound:  # it may have been loaded since: nothing is lost by another look
            return choose_model(
                await self._models_if_known(_MODELS_MIN_TTL), asked, self.default_model
            )

    async def _models_if_known(self, max_age: float) -> list[ModelInfo]:
        """Return the models as far as they are known: a chat may be answered though the list is
        not.

        A server that refuses the list has none: it is asked again when a list would be. One that
        fails may be busy generating.
        """
        if time.monotonic() < self._list_failed_until:
            return self._models
        try:
            return await self.models(max_age)
        except (ClientError, BackendTimeout, BackendFailed, InvalidBackendResponse) as error:
            self._list_failed_until = time.monotonic() + (
                _MODELS_MIN_TTL if error.retryable else MODELS_TTL
            )
            return self._models

    async def describe(self, max_age: float = 0.0) -> BackendInfo:
        """A quick question that also shows whether a request would be served now."""
        models = await self.models(max_age)
        name = self.default_model
        with contextlib.suppress(BridgeError):  # several, and none was chosen: the client names one
            name = choose_model(models, None, self.default_model)
        known = next((model for model in models if model.id == name), ModelInfo(""))
        return BackendInfo(model=name, context=known.context, inputs=known.inputs)

    async def get_json(self, path: str) -> Any:
        """A look at what is there now: nobody is waited for who has just gone."""
        return await self._read_json(
            await self.http.send_retryable(probe_request(await self.provider.address(), path))
        )

    async def optional_json(self, path: str, body: Any = None) -> Any:
        """What is good to know, and may be missing: None then."""
        address = await self.provider.address()
        if address.url_for(path) is None:
            return None
        with contextlib.suppress(BridgeError):
            return await self._read_json(
                await self.http.send_retryable(probe_request(address, path, body))
            )
        return None

    async def post_json(self, path: str, body: bytes) -> Any:
        return await self._read_json(await self.post(body, [], path))

    async def _read_json(self, response: httpx.Response) -> Any:
        if response.status_code != 200:
            raise await self._error_from(response)
        try:
            return orjson.loads(await self.http.read(response))
        except orjson.JSONDecodeError:
            raise InvalidBackendResponse(
                (
                    "the backend answered with something that is no JSON; "
                    "is BACKEND_URL the base of its API?"
                ),
                retryable=False,
            ) from None

    async def _send(self, request: Callable[[BackendAddress], httpx.Request]) -> httpx.Response:
        address = await self.provider.address()
        try:
            return await self.http.send_retryable(request(address))
        # Nobody there, or nobody who answered: it may just have died.
        except (Unavailable, BackendDisconnected):
            if (other := await self.provider.failover(address)) is None:
                raise
        return await self.http.send_retryable(request(other))

    async def _error_from(self, response: httpx.Response) -> BridgeError:
        return self.map_error(
            response.status_code, await self.http.read(response), response.headers
        )


def probe_request(address: BackendAddress, path: str, body: Any = None) -> httpx.Request:
    """A quick question of our own."""
    headers, extensions = with_authorization(address, [_USER_AGENT]), {"timeout": PROBE_TIMEOUTS}
    return httpx.Request(
        "GET" if body is None else "POST",
        _url(path, address),
        headers=headers,
        json=body,
        extensions=extensions,
    )


def _post_request(
    path: str, address: BackendAddress, body: bytes, headers: Headers
) -> httpx.Request:
    sent = [
        *with_authorization(address, headers),
        (b"content-type", b"application/json"),
        (b"accept-encoding", b"identity"),
    ]
    return httpx.Request("POST", _url(path, address), headers=sent, content=body)


def _url(path: str, address: BackendAddress) -> str:
    if (url := address.url_for(path)) is None:
        raise NotFound(
            f"{path} lies outside the API of {address.host}, and nothing else is asked there"
        )
    return url


def with_authorization(address: BackendAddress, headers: Headers) -> list[tuple[bytes, bytes]]:
    return (
        [*headers, (b"authorization", b"Bearer " + address.key.encode())]
        if address.key
        else list(headers)
    )
