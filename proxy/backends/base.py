"""Base class of all backends: sends chat requests and lists models through OpenAI's API.

A subclass contains only what a kind of server does differently.
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
"""Function that requests a path of a private server; returns b"" if the request fails."""

# Some hosts refuse requests without a user agent.
_USER_AGENT = (b"user-agent", b"llama-bridge")
_TRANSIENT_STATUSES = (
    429,
    502,
    503,
    504,
)  # these do not mean that another server has taken over the address
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
        self.parses_text = parses_text  # whether tool calls in the text are parsed
        self._models: list[ModelInfo] = []
        self._models_fetched_at = float("-inf")
        # After a failed request for the model list, chat requests do not repeat it until then.
        self._list_failed_until = float("-inf")
        self._unknown_names: set[str | None] = (
            set()
        )  # model names that a fresh list did not contain

    def for_request(self, provider: Provider) -> Self:
        """Return this backend, or a copy of it that uses `provider` for one request."""
        if provider is self.provider:
            return self
        other = copy(self)
        other.provider, other.default_model = provider, provider.model() or self.default_model
        return other

    @classmethod
    def matches(cls, _seen: ModelsResponse) -> bool:
        """Return whether the response to `GET /models` identifies this kind."""
        return False

    @classmethod
    async def probe(cls, _look: FetchPath) -> bool:
        """Return whether a private server is of this kind, judged by other paths than its models.

        Called only if the model list matches no kind. `_look` requests a path of the server.
        """
        return False

    async def send_chat(self, request: ChatRequest, headers: Headers) -> httpx.Response:
        """Send a chat request, and return the response (status 200) with its body unread.

        If the server refuses an optional field, the request is repeated without that field. Any
        other refusal is raised as a BridgeError.
        """
        model = await self.resolve_model(request.model)
        headers = self.request_headers(request, headers)
        capabilities = self.capabilities  # concurrent requests may replace them
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
        """Return the headers to send with a chat request; `headers` are the client's."""
        return headers

    def relax(self, error: BridgeError, capabilities: Capabilities) -> Capabilities | None:
        """Return `capabilities` without the optional feature that `error` refuses.

        Returns None if the error refuses no optional feature. Later requests usually
        leave the feature out too.
        """
        if not (change := relaxation.relax(error.message, capabilities)):
            return None
        self.capabilities = replace(self.capabilities, **change)
        return replace(capabilities, **change)

    def warning_for(self, request: ChatRequest) -> str:
        """Return a warning for the log about fields that the backend ignores, or ""."""
        fields = ignored_by(request, self.capabilities)
        return f"{self.kind} ignores {', '.join(fields)}" if fields else ""

    def model_hint(self, asked: str | None) -> ModelHint:
        """Return what is known about the model that will answer, so that the parser can adapt."""
        known = [name for name in (asked, self.default_model) if has_model(self._models, name)]
        return ModelHint(
            model=(known or [model.id for model in self._models[:1]] or [asked])[0] or ""
        )

    @property
    def busy(self) -> bool:
        """Whether any further request, even for the model list, would interrupt an answer."""
        return False

    def invalidate(self) -> None:
        """Discard cached facts: a different server of this kind may have taken over the address."""
        self._models_fetched_at = self._list_failed_until = float("-inf")

    def uses_context(self, _path: str) -> bool:
        """Return whether a passthrough request to `path` takes part of the shared context."""
        return False

    def exclusive(self) -> contextlib.AbstractAsyncContextManager[object]:
        """Return a context manager that keeps other requests away, if the server needs that."""
        return contextlib.nullcontext()

    def raw_mode(self) -> RawMode | None:
        """Return the client for requests that bypass the backend's own parser, or None."""
        return None

    def response_reader(self, tools: tuple[Any, ...] = ()) -> ResponseReader:
        """Return a reader for one answer; `tools` are the tools that the request declares."""
        return ResponseReader(tools)

    def map_error(self, status: int, body: bytes, headers: Mapping[str, str]) -> BridgeError:
        return map_error(status, body, headers)

    async def admit(self, request: ChatRequest) -> None:
        """Wait until the server has room for this request."""

    async def check_overflow(self, _request: ChatRequest) -> bool:
        """Raise ContextOverflow if the prompt is too long; return whether it is known to fit."""
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
        """Return the name of the model to request, given the name `asked` of the client.

        A name that is not in the model list is looked up once in a fresh list.
        """
        models = await self._models_if_known(MODELS_TTL)
        if not has_model(models, asked) and asked not in self._unknown_names:
            models = await self._models_if_known(_MODELS_MIN_TTL)
            if len(self._unknown_names) >= _UNKNOWN_NAMES_LIMIT:
                self._unknown_names.clear()
            self._unknown_names.add(asked)
        try:
            return choose_model(models, asked, self.default_model)
        except ModelNotFound:  # the model may have been loaded since the list was fetched
            return choose_model(
                await self._models_if_known(_MODELS_MIN_TTL), asked, self.default_model
            )

    async def _models_if_known(self, max_age: float) -> list[ModelInfo]:
        """Return the model list, or the last known one if the request for it fails.

        A chat request can be answered without the list. After a refusal the list is requested
        again when it would expire; after any other failure, such as a busy server, after a second.
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
        """Return the model, its context size and its modalities; raise if the server is down."""
        models = await self.models(max_age)
        name = self.default_model
        # With several models and none configured, the client chooses.
        with contextlib.suppress(BridgeError):
            name = choose_model(models, None, self.default_model)
        known = next((model for model in models if model.id == name), ModelInfo(""))
        return BackendInfo(model=name, context=known.context, inputs=known.inputs)

    async def get_json(self, path: str) -> Any:
        """Return the JSON at `path`; a lost connection is an error, without failover."""
        return await self._read_json(
            await self.http.send_retryable(probe_request(await self.provider.address(), path))
        )

    async def optional_json(self, path: str, body: Any = None) -> Any:
        """Return the JSON at `path`, or None if the request fails. With a `body` it is a POST."""
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
                    "the backend's response is not JSON; "
                    "check that BACKEND_URL is the base of its API"
                ),
                retryable=False,
            ) from None

    async def _send(self, request: Callable[[BackendAddress], httpx.Request]) -> httpx.Response:
        address = await self.provider.address()
        try:
            return await self.http.send_retryable(request(address))
        # A managed process may just have exited.
        except (Unavailable, BackendDisconnected):
            if (other := await self.provider.failover(address)) is None:
                raise
        return await self.http.send_retryable(request(other))

    async def _error_from(self, response: httpx.Response) -> BridgeError:
        return self.map_error(
            response.status_code, await self.http.read(response), response.headers
        )


def probe_request(address: BackendAddress, path: str, body: Any = None) -> httpx.Request:
    """Return a GET request, or a POST request with `body`, that has short timeouts."""
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
            f"{path} is outside the API of {address.host}; only paths below /v1 are forwarded"
        )
    return url


def with_authorization(address: BackendAddress, headers: Headers) -> list[tuple[bytes, bytes]]:
    return (
        [*headers, (b"authorization", b"Bearer " + address.key.encode())]
        if address.key
        else list(headers)
    )
