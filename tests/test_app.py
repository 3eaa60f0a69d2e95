"""The house as it is opened: which rooms, for which settings, and that all of it is closed again."""

import asyncio
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy import app as application
from proxy import create_app
from proxy.app import Bridge, OwnChild
from proxy.backends.address import Address
from proxy.backends.place import Named
from proxy.errors import Stopping
from proxy.llama_server import Launch, State, Supervisor
from proxy.settings import load
from proxy.tiny_model import MODEL as TINY
from tests.asgi import Call, ask
from tests.backend import Backend, models
from tests.bridge import bridge
from tests.llama_server.conftest import nothing_left, until
from tests.llama_server.fake_server import Conduct


class Lifespan:
    """The server's side of it: opens the application, and closes it when it is told to."""

    def __init__(self, app: Bridge) -> None:
        self.told: list[str] = []
        self.opened, self._close = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, self._receive, self._send))

    async def _receive(self) -> MutableMapping[str, Any]:
        if self.told:
            await self._close.wait()
            return {"type": "lifespan.shutdown"}
        return {"type": "lifespan.startup"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        self.told.append(message["type"])
        self.opened.set()

    async def __aenter__(self) -> "Lifespan":
        await self.opened.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close.set()
        await self.task


async def test_it_opens_and_closes_before_a_named_server() -> None:
    backend = Backend({"/v1/models": models("m")})
    app = bridge(backend)
    assert app.supervisor is None
    async with Lifespan(app) as lifespan:
        assert (await ask(app, "/health")).status == 200
        assert backend.open
    assert lifespan.told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert not backend.open


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"backend_kind": "auto"}, "llama_cpp"),
        ({"backend_kind": "llama_cpp"}, "llama_cpp"),
        ({"backend_kind": "llamacpp"}, "llama_cpp"),
        ({"backend_kind": "generic"}, "generic"),
    ],
)
async def test_the_kind_is_found_out_or_said(options: dict[str, str], found: str) -> None:
    backend = Backend({"/v1/models": models("m", server="llama.cpp"), "/props": httpx.Response(200, json={})})
    assert (await ask(bridge(backend, **options), "/health")).json["backend"] == found


async def test_where_a_named_server_is() -> None:
    place = bridge(backend_url="https://h.example.com", backend_api_key="k").house.place
    assert place == Named(Address("https://h.example.com/v1", "k"))


async def test_an_interrupted_start_is_a_failed_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def fails(_: Supervisor) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(Supervisor, "start", fails)
    app = create_app(load({"LLAMA_SERVER": str(Conduct().script(tmp_path / "llama-server"))}))
    lifespan = Lifespan(app)
    with pytest.raises(OSError, match="no more processes"):
        await lifespan.task
    assert lifespan.told == ["lifespan.startup.failed"]


def test_what_is_started_when_nothing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    tiny = application.launch(load({}))
    assert (tiny.model, tiny.alias, tiny.engine) == (TINY, "tiny-toolcaller", None)
    assert (tiny.temperature, tiny.threads) == (0.0, 1)


def test_what_is_started_when_it_is_named(tmp_path: Path) -> None:
    engine = Conduct().script(tmp_path / "my-server")
    named = application.launch(load({"LLAMA_MODEL": "/models/Qwen3.gguf", "LLAMA_SERVER": str(engine)}))
    assert named == Launch(Path("/models/Qwen3.gguf"), "Qwen3", engine=engine)


async def test_our_own_child_from_the_first_question_to_the_end(tmp_path: Path) -> None:
    engine = Conduct(says=("- CUDA0 : a card (1 MiB, 1 MiB free)",)).script(tmp_path / "llama-server")
    app = create_app(load({"LLAMA_SERVER": str(engine), "LLAMA_MODEL": str(tmp_path / "qwen.gguf")}))
    assert app.supervisor is not None
    assert isinstance(app.house.place, OwnChild)
    async with Lifespan(app):
        waiting = Call(app, "/props")  # it comes while the child starts, and waits
        assert (await waiting.done()).json["model_alias"] == "qwen"
        assert (await ask(app, "/v1/models")).status == 200
        told = (await ask(app, "/health")).json
        assert (told["status"], told["backend"], told["model"], told["context"]) == ("ok", "llama_cpp", "qwen", 32768)
        assert told["device"] == app.house.place.device() == "CUDA0"
        assert app.supervisor.state is State.READY
        group = app.supervisor.group
        assert group is not None
    await nothing_left(group)
    with pytest.raises(Stopping):
        await app.house.place.address()


async def test_a_child_that_was_killed_is_back_for_the_next_question(tmp_path: Path) -> None:
    engine = Conduct(answers=2, misbehaves=1).script(tmp_path / "llama-server")
    app = create_app(load({"LLAMA_SERVER": str(engine), "LLAMA_MODEL": str(tmp_path / "qwen.gguf")}))
    async with Lifespan(app):
        first = await app.house.place.address()
        app.house.place.answered()
        assert (await ask(app, "/completion", b"{}")).json == {"content": "a"}  # its last words
        await until(lambda: app.supervisor and app.supervisor.state is not State.READY)
        assert (await ask(app, "/props")).status == 200
        assert await app.house.place.after(first) == await app.house.place.address() != first
