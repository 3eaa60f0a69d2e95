"""The ASGI application: builds every part from the settings and maps paths to endpoints."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import orjson
from starlette.routing import Route, Router

from proxy import dialects
from proxy.backends import kinds_at
from proxy.backends.base import Backend
from proxy.backends.detection import Detection
from proxy.backends.http import HttpClient, default_transport
from proxy.backends.llama_cpp.backend import LlamaCpp
from proxy.backends.provider import FixedProvider, Provider
from proxy.completion.parser_factory import ParserFactory
from proxy.errors import BadRequest, MethodNotAllowed
from proxy.llama_server import (
    Catalog,
    CatalogSettings,
    ConfigurationError,
    ModelPool,
    Supervisor,
    make_catalog,
    read_configuration,
)
from proxy.managed import ManagedProvider
from proxy.settings import Settings
from proxy.tiny_model import MODEL as TINY_MODEL
from proxy.web import key_file
from proxy.web.api_keys import ApiKeys
from proxy.web.chat import Chat
from proxy.web.connection import Connection, Endpoint
from proxy.web.dashboard import Dashboard
from proxy.web.health import Health
from proxy.web.inflight import InflightRequests
from proxy.web.logs import Logs
from proxy.web.middleware import RequestMiddleware
from proxy.web.models import Models
from proxy.web.passthrough import UPSTREAM, Forwarder
from proxy.web.state import AppState


class Bridge(RequestMiddleware):
    """The ASGI application, and the pool of managed models (None if the backend is remote)."""

    def __init__(self, app_state: AppState, pool: ModelPool | None) -> None:
        self.app_state = app_state
        self.pool = pool
        self._reload_lock = asyncio.Lock()
        self.health = Health(app_state)
        chat, models, status = (
            Endpoint(Chat(app_state)),
            Endpoint(Models(app_state)),
            Endpoint(self.health),
        )
        passthrough = Endpoint(Forwarder(app_state))
        routes = [
            Route("/v1/chat/completions", chat),
            Route("/chat/completions", chat),
            Route("/v1/models", models),
            Route("/models", models),
            Route("/v1/models/{id:path}", models),
            Route("/models/{id:path}", models),
            Route("/health", status),
            Route("/reload", Endpoint(self.reload)),
            Route("/logs", Endpoint(Logs(pool.log_rings if pool else {}))),
            Route("/", Endpoint(Dashboard(app_state, self.health))),
            Route(UPSTREAM, passthrough),
            Route(UPSTREAM + "/{path:path}", passthrough),
        ]
        super().__init__(
            app_state,
            Router(routes, redirect_slashes=False, default=passthrough, lifespan=self._lifespan),
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: object) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self.app_state.http.aclose)
            if self.pool is not None:
                await stack.enter_async_context(self.pool)
            # The models to preload are loading in the background by now.
            await asyncio.to_thread(self.app_state.parsers.warm_up)
            warming = asyncio.create_task(self._warm_up_further())
            stack.callback(warming.cancel)
            yield

    async def _warm_up_further(self) -> None:
        """Warm up the remaining parsers while requests are served.

        The steps run one by one in a thread, so a shutdown waits for one step at most.
        """
        for step in self.app_state.parsers.further_warm_ups():
            await asyncio.to_thread(step)

    @property
    def supervisor(self) -> Supervisor | None:
        """Return the supervisor of the default model, or None if the backend is remote."""
        return self.pool.supervisor(self.pool.catalog.default) if self.pool is not None else None

    async def reload(self, connection: Connection) -> None:
        """Handle `POST /reload`: reread llama-server.conf and apply it if it is valid."""
        if connection.scope["method"] != "POST":
            raise MethodNotAllowed("method not allowed; use POST", headers={"allow": "POST"})
        body = orjson.dumps({"changed": await self.reload_config()})
        await connection.respond(200, body, [(b"content-type", b"application/json")])

    async def reload_config(self) -> list[str]:
        """Reread llama-server.conf, apply it, and return the names of the models that changed.

        A thread reads the files and queries the engine for its options, and requests are served
        meanwhile. The new configuration is applied in one step, or not at all if it is invalid.
        Concurrent calls run one after another.
        """
        if self.pool is None:
            raise BadRequest("nothing to reload: the backend is set by BACKEND_URL")
        async with self._reload_lock:
            try:
                catalog = await asyncio.to_thread(load_catalog, self.app_state.settings)
            except ValueError as error:
                raise BadRequest(f"configuration not reloaded: {error}") from None
            return self.pool.reload(catalog)


def create_app(settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> Bridge:
    """Return the application for `settings`; `transport` replaces the network in tests."""
    provider: Provider
    kinds: tuple[type[Backend], ...]
    pool = None
    if settings.starts_server:
        pool = ModelPool(load_catalog(settings))
        provider, kinds, url, public = (
            ManagedProvider(pool, settings.backend_model),
            (LlamaCpp,),
            "http://127.0.0.1",
            False,
        )
    else:
        named = settings.backend_address
        provider, kinds, url, public = (
            FixedProvider(named),
            kinds_at(named, settings.backend_kind),
            named.base,
            named.is_public,
        )
    http = HttpClient(
        transport or default_transport(url, public=public), on_stale=lambda: detection.mark_stale()
    )
    detection = Detection(
        kinds, http, provider, settings.backend_model, parses_text=settings.tool_parsing != "native"
    )
    app_state = AppState(
        settings,
        http,
        provider,
        detection,
        load_api_keys(settings),
        InflightRequests(provider.unavailable_reason),
        ParserFactory(settings),
    )
    return Bridge(app_state, pool)


def load_catalog(settings: Settings) -> Catalog:
    """Return the models that llama-server.conf and the settings describe.

    Raises ConfigurationError, which names the file and line of each mistake.
    """
    path = settings.llama_server_conf or next(
        (provider for provider in config_paths() if provider.exists()), None
    )
    if settings.llama_server_conf is not None and not settings.llama_server_conf.exists():
        raise ConfigurationError(f"LLAMA_SERVER_CONF: no such file: {settings.llama_server_conf}")
    server = str(settings.llama_server) if settings.llama_server else None
    wishes = CatalogSettings(
        settings.llama_model, server, TINY_MODEL, lambda name: dialects.select((name,))
    )
    return make_catalog(read_configuration(path), wishes)


def config_paths() -> tuple[Path, ...]:
    """Return the default paths of llama-server.conf: the current folder, then the key file's."""
    return Path("llama-server.conf"), key_file.default_path().with_name("llama-server.conf")


def load_api_keys(settings: Settings) -> ApiKeys:
    """Return the API keys that clients may use.

    If none is configured and the proxy listens beyond loopback, a key is generated and saved.
    """
    if settings.api_keys is not None or not settings.listens_beyond_loopback:
        return ApiKeys(settings.api_keys or ())
    file = key_file.default_path()
    return ApiKeys((key_file.read_or_create(file),), file)
