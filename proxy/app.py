"""Opens the rooms and says which path leads where."""

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
from proxy.backends.http import Http, default_transport
from proxy.backends.llama_cpp.backend import LlamaCpp
from proxy.backends.provider import Named, Place
from proxy.completion.parser_factory import ParserFactory
from proxy.errors import BadRequest, NotAllowed
from proxy.llama_server import (
    Catalogue,
    ConfigurationError,
    Keeper,
    Supervisor,
    Wishes,
    make_catalogue,
    read_configuration,
)
from proxy.managed import OwnModels
from proxy.settings import Settings
from proxy.tiny_model import MODEL as TINY_MODEL
from proxy.web import key_file
from proxy.web.api_keys import Keys
from proxy.web.chat import Chat
from proxy.web.connection import Connection, Endpoint
from proxy.web.dashboard import Front
from proxy.web.health import Status
from proxy.web.inflight import Ledger
from proxy.web.logs import Logs
from proxy.web.middleware import Door
from proxy.web.models import Models
from proxy.web.passthrough import UPSTREAM, PassThrough
from proxy.web.state import House


class Bridge(Door):
    """The whole application. What it speaks for can be asked of it before anybody has come in."""

    def __init__(self, house: House, keeper: Keeper | None) -> None:
        self.house = house
        self.keeper = keeper
        self._reading = asyncio.Lock()
        self.status = Status(house)
        chat, models, status = Endpoint(Chat(house)), Endpoint(Models(house)), Endpoint(self.status)
        passthrough = Endpoint(PassThrough(house))
        routes = [
            Route("/v1/chat/completions", chat),
            Route("/chat/completions", chat),
            Route("/v1/models", models),
            Route("/models", models),
            Route("/v1/models/{id:path}", models),
            Route("/models/{id:path}", models),
            Route("/health", status),
            Route("/reload", Endpoint(self.reload)),
            Route("/logs", Endpoint(Logs(keeper.rings if keeper else {}))),
            Route("/", Endpoint(Front(house, self.status))),
            Route(UPSTREAM, passthrough),
            Route(UPSTREAM + "/{path:path}", passthrough),
        ]
        super().__init__(
            house, Router(routes, redirect_slashes=False, default=passthrough, lifespan=self._open)
        )

    @contextlib.asynccontextmanager
    async def _open(self, _: object) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self.house.http.aclose)
            if self.keeper is not None:
                await stack.enter_async_context(self.keeper)
            # A model that is loaded at the start loads meanwhile.
            await asyncio.to_thread(self.house.parsers.warm_up)
            warming = asyncio.create_task(self._warm_up_further())
            stack.callback(warming.cancel)
            yield

    async def _warm_up_further(self) -> None:
        """Requests are served meanwhile, and the shutdown waits for one step only."""
        for step in self.house.parsers.further_warm_ups():
            await asyncio.to_thread(step)

    @property
    def supervisor(self) -> Supervisor | None:
        """Of the model that is loaded first."""
        return (
            self.keeper.supervisor(self.keeper.catalogue.default)
            if self.keeper is not None
            else None
        )

    async def reload(self, connection: Connection) -> None:
        """llama-server.conf is read anew. A broken file changes nothing, and says why."""
        if connection.scope["method"] != "POST":
            raise NotAllowed("the configuration is read anew with POST", headers={"allow": "POST"})
        body = orjson.dumps({"changed": await self.read_anew()})
        await connection.answer(200, body, [(b"content-type", b"application/json")])

    async def read_anew(self) -> list[str]:
        """Read llama-server.conf again, apply it, and return the names of the models that changed.

        The files are read, and the engine is asked for its options, in a thread; the old
        configuration serves meanwhile. The new one is applied in one step. One reload at a time, in
        the order of the calls: the last one to be called decides.
        """
        if self.keeper is None:
            raise BadRequest("there is nothing to read anew: the backend is named by BACKEND_URL")
        async with self._reading:
            try:
                catalogue = await asyncio.to_thread(catalogue_of, self.house.settings)
            except ValueError as error:
                raise BadRequest(f"the configuration is unchanged: {error}") from None
            return self.keeper.reload(catalogue)


def create_app(settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> Bridge:
    """The application; a transport stands in for the network, in tests."""
    place: Place
    kinds: tuple[type[Backend], ...]
    keeper = None
    if settings.own_child:
        keeper = Keeper(catalogue_of(settings))
        place, kinds, url, public = (
            OwnModels(keeper, settings.backend_model),
            (LlamaCpp,),
            "http://127.0.0.1",
            False,
        )
    else:
        named = settings.backend_address
        place, kinds, url, public = (
            Named(named),
            kinds_at(named, settings.backend_kind),
            named.base,
            named.is_public,
        )
    http = Http(
        transport or default_transport(url, public=public), on_doubt=lambda: detection.doubt()
    )
    detection = Detection(
        kinds, http, place, settings.backend_model, text_is_read=settings.tool_parsing != "native"
    )
    house = House(
        settings,
        http,
        place,
        detection,
        keys_of(settings),
        Ledger(place.not_ready),
        ParserFactory(settings),
    )
    return Bridge(house, keeper)


def catalogue_of(settings: Settings) -> Catalogue:
    """ConfigurationError tells all that is wrong in llama-server.conf, with file and line."""
    path = settings.llama_server_conf or next(
        (place for place in configuration_places() if place.exists()), None
    )
    if settings.llama_server_conf is not None and not settings.llama_server_conf.exists():
        raise ConfigurationError(
            f"LLAMA_SERVER_CONF: there is no file {settings.llama_server_conf}"
        )
    server = str(settings.llama_server) if settings.llama_server else None
    wishes = Wishes(settings.llama_model, server, TINY_MODEL, lambda name: dialects.chosen((name,)))
    return make_catalogue(read_configuration(path), wishes)


def configuration_places() -> tuple[Path, ...]:
    """In the folder where we were started, else beside the key."""
    return Path("llama-server.conf"), key_file.place().with_name("llama-server.conf")


def keys_of(settings: Settings) -> Keys:
    """Beyond loopback the door is never open by chance: a key is made where none was given."""
    if settings.keys is not None or not settings.listens_beyond_loopback:
        return Keys(settings.keys or ())
    file = key_file.place()
    return Keys((key_file.read_or_make(file),), file)
