"""Our own model server as the application sees it: started, killed, swapped and named in what
clients read.
"""

import os
import signal
import socket
from pathlib import Path

import httpx
import pytest

from proxy import create_app
from proxy.backends.provider import ContextClaim, RouteRequest
from proxy.errors import ShuttingDown
from proxy.llama_server import ProcessState
from proxy.managed import ManagedProvider
from proxy.settings import load
from tests import jsonc
from tests.asgi import Call, ask
from tests.lifespan import Lifespan, keeper, pair
from tests.llama_server.config.test_gguf import LLAMA, made
from tests.patience import until
from tests.process.conftest import nothing_left
from tests.process.fake_server import Conduct


async def test_our_own_child_from_the_first_question_to_the_end(tmp_path: Path) -> None:
    engine = Conduct(says=("- CUDA0 : a card (1 MiB, 1 MiB free)",)).script(
        tmp_path / "llama-server"
    )
    app = create_app(
        load({"LLAMA_SERVER": str(engine), "LLAMA_MODEL": str(made(tmp_path / "qwen.gguf", LLAMA))})
    )
    assert app.supervisor is not None
    assert isinstance(app.app_state.provider, ManagedProvider)
    async with Lifespan(app):
        waiting = Call(app, "/props")  # it comes while the child starts, and waits
        assert (await waiting.done()).json["model_alias"] == "qwen"
        assert (await ask(app, "/v1/models")).status == 200
        told = (await ask(app, "/health")).json
        assert (told["status"], told["backend"], told["model"], told["context"]) == (
            "ok",
            "llama_cpp",
            "qwen",
            4096,
        )
        assert told["device"] == app.app_state.provider.device() == "CUDA0"
        assert app.supervisor.state is ProcessState.READY
        assert (
            not await app.app_state.provider.wait_for_restart()
        )  # only who has a seat may go on there
        await app.app_state.provider.admit(ContextClaim())
        assert app.app_state.provider.waiting_reason() is None
        group = app.supervisor.process_group
        assert group is not None
    await nothing_left(group)
    with pytest.raises(ShuttingDown):
        await app.app_state.provider.address()


async def test_a_child_that_still_loads_is_known_by_name(tmp_path: Path) -> None:
    """What is pasted while it loads is right when it has loaded."""
    engine = Conduct(hangs=True).script(tmp_path / "llama-server")
    app = create_app(
        load({"LLAMA_SERVER": str(engine), "LLAMA_MODEL": str(made(tmp_path / "qwen.gguf", LLAMA))})
    )
    async with Lifespan(app):
        page = await ask(app, "/")
        assert page.status == 503
        assert jsonc.parsed(page.json["connect"]["opencode"])["model"] == "llama-bridge/qwen"


async def test_a_child_that_was_killed_is_back_for_the_next_question(tmp_path: Path) -> None:
    engine = Conduct(answers=2, misbehaves=1).script(tmp_path / "llama-server")
    app = create_app(
        load({"LLAMA_SERVER": str(engine), "LLAMA_MODEL": str(made(tmp_path / "qwen.gguf", LLAMA))})
    )
    async with Lifespan(app):
        first = await app.app_state.provider.address()
        app.app_state.provider.report_success()
        assert (await ask(app, "/completion", b"{}")).json == {"content": "a"}  # its last words
        await until(lambda: app.supervisor and app.supervisor.state is not ProcessState.READY)
        assert (await ask(app, "/props")).status == 200
        assert (
            await app.app_state.provider.failover(first)
            == await app.app_state.provider.address()
            != first
        )


async def test_a_question_reaches_the_model_that_its_body_names(tmp_path: Path) -> None:
    app = pair(tmp_path)
    async with Lifespan(app):
        for body, name in (
            (b'{"model": "two"}', "two"),
            (b"{}", "two"),
            (b'{"model": "one-too"}', "one"),
            (b"no json", "one"),
        ):
            assert (await ask(app, "/completion", body)).status == 200
            assert (await ask(app, "/props")).json["model_alias"] == name
        assert (await ask(app, "/v1/completions", b'{"model": "two"}')).status == 200
        listed = (await ask(app, "/v1/models")).json["data"]
        assert [(model["id"], model["context_length"]) for model in listed] == [
            ("one", 4096),
            ("two", 4096),
        ]
        assert (await ask(app, "/v1/models/two-too")).json["id"] == "two"


async def test_health_knows_at_once_what_becomes_of_a_child(tmp_path: Path) -> None:
    app = pair(tmp_path)
    async with Lifespan(app):
        await keeper(app).wait_loaded()
        told = [(await ask(app, "/health")).json]
        one = keeper(app).supervisor("one")
        os.kill(one.pid or 0, signal.SIGKILL)
        await until(lambda: one.state is ProcessState.BACKOFF)
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
async def test_what_is_passed_through_is_an_answer_too(
    tmp_path: Path, method: str, path: str, body: bytes, counts: bool
) -> None:
    app = pair(tmp_path, lost=("/nothing",))
    async with Lifespan(app):
        await ask(app, path, body, method=method)
        assert (keeper(app).supervisor("two" if body else "one")._answer_count > 0) is counts


async def test_what_breaks_off_while_it_is_passed_through_is_no_answer(tmp_path: Path) -> None:
    app = pair(tmp_path, cuts=("/v1/completions",))
    async with Lifespan(app):
        call = await ask(app, "/v1/completions", b'{"model": "two"}')
        assert (call.status, call.complete) == (200, False)
        assert keeper(app).supervisor("two")._answer_count == 0


async def test_the_seat_of_a_request(tmp_path: Path) -> None:
    app = pair(tmp_path, "dialect = hermes")
    place = app.app_state.provider
    async with Lifespan(app):
        seat = place.acquire(RouteRequest("two-too"))
        try:
            first = await seat.address()
            assert (
                seat.model(),
                seat.dialect(),
                seat.unavailable_reason(),
                seat.is_unloaded(),
                seat.device(),
            ) == ("two", "hermes", None, False, None)
            assert (place.model(), place.dialect(), place.device()) == ("two", None, None)
            assert seat.models() == place.models()
            assert seat.details() == place.details()
            assert place.log() is keeper(app).supervisor("two").log
            seat.report_success()
            await until(lambda: keeper(app).ready_supervisor())
            os.kill(keeper(app).supervisor("two").pid or 0, signal.SIGKILL)
            assert await seat.failover(first) != first
            other = seat.acquire(RouteRequest("one"))
            assert other.model() == "one"
            other.release()
        finally:
            seat.release()
        place.release()
        assert (await app.app_state.backend(RouteRequest())).provider.dialect() == "hermes"


async def test_an_upload_finds_the_child_that_comes_after_the_one_that_died(tmp_path: Path) -> None:
    app = pair(tmp_path)
    async with Lifespan(app):
        at = httpx.URL((await app.app_state.provider.address()).base)
        keeper(app).supervisor("one").record_answer()
        os.kill(keeper(app).supervisor("one").pid or 0, signal.SIGKILL)

        def deserted() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex((at.host, at.port or 0)) != 0

        await until(deserted)
        assert (await ask(app, "/completion", b'{"model": "one"}')).status == 200


async def test_the_log_of_the_only_model_needs_no_heading(tmp_path: Path) -> None:
    engine = Conduct(says=("hello",)).script(tmp_path / "llama-server")
    app = create_app(load({"LLAMA_SERVER": str(engine)}))
    async with Lifespan(app):
        await app.app_state.provider.address()
        lines = (await ask(app, "/logs")).text.splitlines()
        assert lines[:2] == ["[llama-bridge] tiny-toolcaller is starting", "hello"]
