"""The house as it is opened: which rooms, for which settings, and that all of it is closed again."""

import asyncio
import os
import signal
import socket
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy import app as application
from proxy import create_app
from proxy.app import Bridge
from proxy.backends.address import Address
from proxy.backends.place import Claim, Named, Wish
from proxy.dialects import DIALECTS, parse
from proxy.errors import Stopping
from proxy.llama_server import ConfigurationError, Keeper, Launch, State
from proxy.own_models import OwnModels
from proxy.settings import load
from proxy.stream import markers
from proxy.stream.look import look
from proxy.tiny_model import MODEL as TINY
from tests import jsonc
from tests.asgi import Call, ask
from tests.backend import END, Backend, models, stream, text
from tests.bridge import bridge
from tests.llama_server.conftest import nothing_left, until
from tests.llama_server.fake_server import Conduct
from tests.llama_server.test_gguf import LLAMA, made


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


async def test_all_that_the_calls_of_any_dialect_need_is_ready_soon_after_the_start() -> None:
    for cache in (look, markers.compiled, markers._compiled, markers.compiled_ended):
        cache.cache_clear()
    before = asyncio.all_tasks()
    async with Lifespan(bridge()) as lifespan:
        _, running = await asyncio.wait(asyncio.all_tasks() - before - {lifespan.task}, timeout=30)
        assert not running
    compiled = markers._compiled.cache_info().misses
    for dialect in DIALECTS.values():
        parse(dialect.sample, tools=[{"name": "write_file"}])
    assert markers._compiled.cache_info().misses == compiled


async def test_a_model_with_its_own_kind_of_reasoning_is_made_ready_for_once() -> None:
    answered = stream(*text("Here is my thought process:\na\nHere is my response:\nb"), *END)
    app = bridge(Backend({"/v1/models": models("granite-3.2-8b"), "/v1/chat/completions": lambda _: answered}))
    for _ in range(2):
        answer = await ask(app, "/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]})
        assert answer.json["choices"][0]["message"]["reasoning_content"].strip() == "a"
    assert len(app.house.warm) == 1


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
    async def fails(_: Keeper) -> Keeper:
        raise OSError("no more processes")

    monkeypatch.setattr(Keeper, "__aenter__", fails)
    app = create_app(load({"LLAMA_SERVER": str(Conduct().script(tmp_path / "llama-server"))}))
    lifespan = Lifespan(app)
    with pytest.raises(OSError, match="no more processes"):
        await lifespan.task
    assert lifespan.told == ["lifespan.startup.failed"]


def test_what_is_started_when_nothing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tiny,) = application.catalogue_of(load({})).models
    assert (tiny.launch.model, tiny.name, tiny.launch.engine) == (TINY, "tiny-toolcaller", None)
    assert tiny.launch.flags[:6] == ("--ctx-size", "32768", "--temp", "0", "--threads", "1")


def test_what_is_started_when_it_is_named(tmp_path: Path) -> None:
    engine = Conduct().script(tmp_path / "my-server")
    (named,) = application.catalogue_of(load({"LLAMA_MODEL": "/models/Qwen3.gguf", "LLAMA_SERVER": str(engine)})).models
    assert named.launch == Launch(Path("/models/Qwen3.gguf"), "Qwen3", engine, ("--ctx-size", "32768"))


async def test_our_own_child_from_the_first_question_to_the_end(tmp_path: Path) -> None:
    engine = Conduct(says=("- CUDA0 : a card (1 MiB, 1 MiB free)",)).script(tmp_path / "llama-server")
    app = create_app(load({"LLAMA_SERVER": str(engine), "LLAMA_MODEL": str(made(tmp_path / "qwen.gguf", LLAMA))}))
    assert app.supervisor is not None
    assert isinstance(app.house.place, OwnModels)
    async with Lifespan(app):
        waiting = Call(app, "/props")  # it comes while the child starts, and waits
        assert (await waiting.done()).json["model_alias"] == "qwen"
        assert (await ask(app, "/v1/models")).status == 200
        told = (await ask(app, "/health")).json
        assert (told["status"], told["backend"], told["model"], told["context"]) == ("ok", "llama_cpp", "qwen", 4096)
        assert told["device"] == app.house.place.device() == "CUDA0"
        assert app.supervisor.state is State.READY
        assert not await app.house.place.next_life()  # only who has a seat may go on there
        await app.house.place.admit(Claim())
        assert app.house.place.waits_for() is None
        group = app.supervisor.group
        assert group is not None
    await nothing_left(group)
    with pytest.raises(Stopping):
        await app.house.place.address()


async def test_a_child_that_still_loads_is_known_by_name(tmp_path: Path) -> None:
    """What is pasted while it loads is right when it has loaded."""
    engine = Conduct(hangs=True).script(tmp_path / "llama-server")
    app = create_app(load({"LLAMA_SERVER": str(engine), "LLAMA_MODEL": str(made(tmp_path / "qwen.gguf", LLAMA))}))
    async with Lifespan(app):
        page = await ask(app, "/")
        assert page.status == 503
        assert jsonc.parsed(page.json["connect"]["opencode"])["model"] == "llama-bridge/qwen"


async def test_a_child_that_was_killed_is_back_for_the_next_question(tmp_path: Path) -> None:
    engine = Conduct(answers=2, misbehaves=1).script(tmp_path / "llama-server")
    app = create_app(load({"LLAMA_SERVER": str(engine), "LLAMA_MODEL": str(made(tmp_path / "qwen.gguf", LLAMA))}))
    async with Lifespan(app):
        first = await app.house.place.address()
        app.house.place.answered()
        assert (await ask(app, "/completion", b"{}")).json == {"content": "a"}  # its last words
        await until(lambda: app.supervisor and app.supervisor.state is not State.READY)
        assert (await ask(app, "/props")).status == 200
        assert await app.house.place.after(first) == await app.house.place.address() != first


def pair(tmp_path: Path, text: str = "", **conduct: Any) -> Bridge:
    """Two models on fake servers, one of which is loaded at a time."""
    engine = Conduct(**conduct).script(tmp_path / "llama-server")
    conf = tmp_path / "my.conf"
    sections = "".join(f"[{name}]\nmodel = {TINY}\naliases = {name}-too\n" for name in ("one", "two"))
    conf.write_text(f"[*]\nctx-size = 4096\n{text}\n{sections}")
    return create_app(load({"LLAMA_SERVER": str(engine), "LLAMA_SERVER_CONF": str(conf)}))


def keeper(app: Bridge) -> Keeper:
    assert app.keeper
    return app.keeper


async def test_a_question_reaches_the_model_that_its_body_names(tmp_path: Path) -> None:
    app = pair(tmp_path)
    async with Lifespan(app):
        for body, name in ((b'{"model": "two"}', "two"), (b"{}", "two"), (b'{"model": "one-too"}', "one"), (b"no json", "one")):
            assert (await ask(app, "/completion", body)).status == 200
            assert (await ask(app, "/props")).json["model_alias"] == name
        assert (await ask(app, "/v1/completions", b'{"model": "two"}')).status == 200
        listed = (await ask(app, "/v1/models")).json["data"]
        assert [(model["id"], model["context_length"]) for model in listed] == [("one", 4096), ("two", 4096)]
        assert (await ask(app, "/v1/models/two-too")).json["id"] == "two"


async def test_health_knows_at_once_what_becomes_of_a_child(tmp_path: Path) -> None:
    app = pair(tmp_path)
    async with Lifespan(app):
        await keeper(app).opened()
        told = [(await ask(app, "/health")).json]
        one = keeper(app).supervisor("one")
        os.kill(one.pid or 0, signal.SIGKILL)
        await until(lambda: one.state is State.RESTING)
        told.append((await ask(app, "/health")).json)
        await one.ensure_ready()
        told.append((await ask(app, "/health")).json)
    assert [health["status"] for health in told] == ["ok", "unavailable", "ok"]
    assert [health["models"][0]["state"] for health in told] == ["ready", "resting", "ready"]
    assert told[0]["url"] != told[2]["url"]


@pytest.mark.parametrize(
    ("method", "path", "body", "counts"),
    [
        ("POST", "/v1/completions", b'{"model": "two"}', True),
        ("POST", "/v1/embeddings", b'{"model": "two"}', True),
        ("POST", "/nothing", b'{"model": "two"}', False),
        ("GET", "/props", b"", False),
    ],
)
async def test_what_is_passed_through_is_an_answer_too(tmp_path: Path, method: str, path: str, body: bytes, counts: bool) -> None:
    app = pair(tmp_path, lost=("/nothing",))
    async with Lifespan(app):
        await ask(app, path, body, method=method)
        assert (keeper(app).supervisor("two" if body else "one")._answers > 0) is counts


async def test_what_breaks_off_while_it_is_passed_through_is_no_answer(tmp_path: Path) -> None:
    app = pair(tmp_path, cuts=("/v1/completions",))
    async with Lifespan(app):
        call = await ask(app, "/v1/completions", b'{"model": "two"}')
        assert (call.status, call.complete) == (200, False)
        assert keeper(app).supervisor("two")._answers == 0


async def test_the_seat_of_a_request(tmp_path: Path) -> None:
    app = pair(tmp_path, "dialect = hermes")
    place = app.house.place
    async with Lifespan(app):
        seat = place.at(Wish("two-too"))
        try:
            first = await seat.address()
            assert (seat.model(), seat.dialect(), seat.not_ready(), seat.asleep(), seat.device()) == ("two", "hermes", None, False, None)
            assert (place.model(), place.dialect(), place.device()) == ("two", None, None)
            assert seat.models() == place.models()
            assert seat.details() == place.details()
            assert place.log() is keeper(app).supervisor("two").log
            seat.answered()
            await until(lambda: keeper(app).ready_one())
            os.kill(keeper(app).supervisor("two").pid or 0, signal.SIGKILL)
            assert await seat.after(first) != first
            other = seat.at(Wish("one"))
            assert other.model() == "one"
            other.leave()
        finally:
            seat.leave()
        place.leave()
        assert (await app.house.backend(Wish())).place.dialect() == "hermes"


async def test_an_upload_finds_the_child_that_comes_after_the_one_that_died(tmp_path: Path) -> None:
    app = pair(tmp_path)
    async with Lifespan(app):
        at = httpx.URL((await app.house.place.address()).base)
        keeper(app).supervisor("one").answered()
        os.kill(keeper(app).supervisor("one").pid or 0, signal.SIGKILL)

        def deserted() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex((at.host, at.port or 0)) != 0

        await until(deserted)
        assert (await ask(app, "/completion", b'{"model": "one"}')).status == 200


def test_a_configuration_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"LLAMA_SERVER_CONF: there is no file .*no\.conf"):
        create_app(load({"LLAMA_SERVER_CONF": str(tmp_path / "no.conf")}))


def test_the_configuration_is_found_here_or_beside_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config/llama-bridge").mkdir(parents=True)
    for place, context in (("config/llama-bridge/llama-server.conf", 111), ("llama-server.conf", 222)):
        (tmp_path / place).write_text(f"[*]\nctx-size = {context}\n")
        assert application.catalogue_of(load({})).models[0].context == context


async def test_a_named_server_has_no_log_and_nothing_to_read_anew() -> None:
    app = bridge()
    assert (await ask(app, "/logs")).json["error"]["code"] == "not_found"
    refused = await ask(app, "/reload", method="POST")
    assert (refused.status, refused.json["error"]["message"]) == (
        400, "there is nothing to read anew: the backend is named by BACKEND_URL",
    )  # fmt: skip


async def test_the_log_of_the_only_model_needs_no_heading(tmp_path: Path) -> None:
    engine = Conduct(says=("hello",)).script(tmp_path / "llama-server")
    app = create_app(load({"LLAMA_SERVER": str(engine)}))
    async with Lifespan(app):
        await app.house.place.address()
        lines = (await ask(app, "/logs")).text.splitlines()
        assert lines[:2] == ["[llama-bridge] tiny-toolcaller is starting", "hello"]
