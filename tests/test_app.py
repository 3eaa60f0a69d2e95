"""The application: its parts for given settings, and their startup and shutdown."""

import asyncio
from pathlib import Path

import httpx
import pytest

from proxy import app as application
from proxy import create_app
from proxy.backends.address import BackendAddress
from proxy.backends.provider import FixedProvider
from proxy.dialects import DIALECTS, parse
from proxy.llama_server import ConfigurationError, LaunchSpec, ModelPool
from proxy.parsing import markers
from proxy.parsing.marker_index import marker_index
from proxy.settings import load
from proxy.tiny_model import MODEL as TINY
from tests.asgi import ask
from tests.backend import END, Backend, models, stream, text
from tests.bridge import bridge
from tests.lifespan import Lifespan
from tests.patience import HANGS
from tests.process.fake_server import Conduct


async def test_it_opens_and_closes_before_a_named_server() -> None:
    backend = Backend({"/v1/models": models("m")})
    app = bridge(backend)
    assert app.supervisor is None
    async with Lifespan(app) as lifespan:
        assert (await ask(app, "/health")).status == 200
        assert backend.open
    assert lifespan.sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert not backend.open


async def test_all_that_the_calls_of_any_dialect_need_is_ready_soon_after_the_start() -> None:
    for cache in (marker_index, markers.compiled, markers._compiled, markers.compiled_ended):
        cache.cache_clear()
    before = asyncio.all_tasks()
    async with Lifespan(bridge()) as lifespan:
        _, running = await asyncio.wait(
            asyncio.all_tasks() - before - {lifespan.task}, timeout=HANGS
        )
        assert not running
    compiled = markers._compiled.cache_info().misses
    for dialect in DIALECTS.values():
        parse(dialect.sample, tools=[{"name": "write_file"}])
    assert markers._compiled.cache_info().misses == compiled


async def test_a_model_with_its_own_kind_of_reasoning_is_made_ready_for_once() -> None:
    answered = stream(*text("Here is my thought process:\na\nHere is my response:\nb"), *END)
    app = bridge(
        Backend(
            {"/v1/models": models("granite-3.2-8b"), "/v1/chat/completions": lambda _: answered}
        )
    )
    for _ in range(2):
        answer = await ask(
            app, "/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}
        )
        assert answer.json["choices"][0]["message"]["reasoning_content"].strip() == "a"
    assert len(app.app_state.parsers.warm) == 1


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"backend_kind": "auto"}, "llama_cpp"),
        ({"backend_kind": "llama_cpp"}, "llama_cpp"),
        ({"backend_kind": "llamacpp"}, "llama_cpp"),
        ({"backend_kind": "generic"}, "generic"),
    ],
)
async def test_the_kind_is_detected_or_configured(options: dict[str, str], found: str) -> None:
    backend = Backend(
        {"/v1/models": models("m", server="llama.cpp"), "/props": httpx.Response(200, json={})}
    )
    assert (await ask(bridge(backend, **options), "/health")).json["backend"] == found


async def test_where_a_named_server_is() -> None:
    place = bridge(backend_url="https://h.example.com", backend_api_key="k").app_state.provider
    assert place == FixedProvider(BackendAddress("https://h.example.com/v1", "k"))


async def test_an_interrupted_start_is_a_failed_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def fails(_: ModelPool) -> ModelPool:
        raise OSError("no more processes")

    monkeypatch.setattr(ModelPool, "__aenter__", fails)
    app = create_app(load({"LLAMA_SERVER": str(Conduct().script(tmp_path / "llama-server"))}))
    lifespan = Lifespan(app)
    with pytest.raises(OSError, match="no more processes"):
        await lifespan.task
    assert lifespan.sent == ["lifespan.startup.failed"]


def test_what_is_started_when_nothing_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tiny,) = application.load_catalog(load({})).models
    assert (tiny.launch.model, tiny.name, tiny.launch.engine) == (TINY, "tiny-toolcaller", None)
    assert tiny.launch.flags[:6] == ("--ctx-size", "32768", "--temp", "0", "--threads", "1")


def test_what_is_started_when_it_is_named(tmp_path: Path) -> None:
    engine = Conduct().script(tmp_path / "my-server")
    (named,) = application.load_catalog(
        load({"LLAMA_MODEL": "/models/Qwen3.gguf", "LLAMA_SERVER": str(engine)})
    ).models
    assert named.launch == LaunchSpec(
        Path("/models/Qwen3.gguf"), "Qwen3", engine, ("--ctx-size", "32768")
    )


def test_a_configuration_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"LLAMA_SERVER_CONF: no such file: .*no\.conf"):
        create_app(load({"LLAMA_SERVER_CONF": str(tmp_path / "no.conf")}))


def test_the_configuration_is_found_here_or_beside_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config/llama-bridge").mkdir(parents=True)
    for place, context in (
        ("config/llama-bridge/llama-server.conf", 111),
        ("llama-server.conf", 222),
    ):
        (tmp_path / place).write_text(f"[*]\nctx-size = {context}\n")
        assert application.load_catalog(load({})).models[0].context == context


async def test_a_remote_backend_has_no_log_and_nothing_to_reload() -> None:
    app = bridge()
    assert (await ask(app, "/logs")).json["error"]["code"] == "not_found"
    refused = await ask(app, "/reload", method="POST")
    assert (refused.status, refused.json["error"]["message"]) == (
        400,
        "nothing to reload: the backend is set by BACKEND_URL",
    )
