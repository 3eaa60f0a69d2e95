"""Opens the rooms and says which path leads where."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
from starlette.routing import Route, Router

from proxy.backends import KINDS, address
from proxy.backends.address import Address
from proxy.backends.base import Backend
from proxy.backends.detection import Detection
from proxy.backends.http import Http, default_transport
from proxy.backends.llama_cpp import LlamaCpp
from proxy.backends.place import Named, Place
from proxy.llama_server import Address as ReadyAt
from proxy.llama_server import Launch, State, Supervisor, find_engine
from proxy.settings import Settings
from proxy.tiny_model import MODEL as TINY_MODEL
from proxy.web import key_file
from proxy.web.access import Door
from proxy.web.chat import Chat
from proxy.web.connection import Endpoint
from proxy.web.front import Front
from proxy.web.house import House
from proxy.web.keys import Keys
from proxy.web.ledger import Ledger
from proxy.web.models import Models
from proxy.web.passthrough import UPSTREAM, PassThrough
from proxy.web.status import Status

_KIND_SPELLINGS = {"llamacpp": "llama_cpp"}


@dataclass(frozen=True, slots=True)
class OwnChild:
    """The llama-server that we look after, as a place where a backend is."""

    supervisor: Supervisor

    async def address(self) -> Address:
        return _api(await self.supervisor.ensure_ready())

    async def after(self, refused: Address) -> Address:
        return _api(await self.supervisor.ensure_elsewhere(refused.root))

    def not_ready(self) -> str | None:
        state, reason = self.supervisor.state, self.supervisor.reason
        return None if state is State.READY else f"our llama-server is {state.value}{f': {reason}' if reason else ''}"

    def device(self) -> str | None:
        return self.supervisor.facts.device

    def answered(self) -> None:
        self.supervisor.answered()


def _api(ready: ReadyAt) -> Address:
    return Address(ready.url + "/v1", ready.key)


class Bridge(Door):
    """The whole application. What it speaks for can be asked of it before anybody has come in."""

    def __init__(self, house: House, supervisor: Supervisor | None) -> None:
        self.house = house
        self.supervisor = supervisor
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
            Route("/", Endpoint(Front(house, self.status))),
            Route(UPSTREAM, passthrough),
            Route(UPSTREAM + "/{path:path}", passthrough),
        ]
        super().__init__(house, Router(routes, redirect_slashes=False, default=passthrough, lifespan=self._open))

    @contextlib.asynccontextmanager
    async def _open(self, _: object) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self.house.http.aclose)
            if self.supervisor is not None:
                await stack.enter_async_context(self.supervisor)
            yield


def create_app(settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> Bridge:
    """The application; a transport stands in for the network, in tests."""
    place: Place
    kinds: tuple[type[Backend], ...]
    supervisor = None
    if settings.own_child:
        supervisor = Supervisor(launch(settings))
        place, kinds, url, public = OwnChild(supervisor), (LlamaCpp,), "http://127.0.0.1", False
    else:
        named = address.parse(settings.backend_url, settings.backend_key)
        wanted = _KIND_SPELLINGS.get(settings.backend_kind, settings.backend_kind)
        kinds = tuple(kind for kind in KINDS if wanted in ("auto", kind.kind))
        place, url, public = Named(named), named.base, named.is_public
    http = Http(transport or default_transport(url, public=public), on_refused=lambda: detection.forget())
    detection = Detection(kinds, http, place, settings.backend_model)
    house = House(settings, http, place, detection, keys_of(settings), Ledger(place.not_ready))
    return Bridge(house, supervisor)


def launch(settings: Settings) -> Launch:
    engine = find_engine(str(settings.llama_server or ""))
    if settings.llama_model is None:
        # It knows four answers by heart: any warmth makes it stammer, a second thread makes it slow.
        return Launch(TINY_MODEL, TINY_MODEL.stem, engine=engine, temperature=0.0, threads=1)
    return Launch(settings.llama_model, settings.llama_model.stem, engine=engine)


def keys_of(settings: Settings) -> Keys:
    """Beyond loopback the door is never open by chance: a key is made where none was given."""
    if settings.keys is not None or not settings.listens_beyond_loopback:
        return Keys(settings.keys or ())
    file = key_file.place()
    return Keys((key_file.read_or_make(file),), file)
