"""Another server takes over the address, with or without a moment in which connections are
refused: it is known soon after.
"""

import asyncio
from itertools import permutations
from typing import Any

import httpx
import pytest

from proxy.app import Bridge
from proxy.backends.detection import ERROR_TTL, RECHECK_INTERVAL
from proxy.backends.llama_cpp.client import TEMPLATE_TTL
from tests.asgi import Call, ask
from tests.backend import END, Backend, models, stream, text
from tests.bridge import bridge
from tests.clock import Clock
from tests.llama_server.in_time import Jumping

CHAT, MODELS, PROPS = "/v1/chat/completions", "/v1/models", "/props"
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
NOT_FOUND = httpx.Response(404, json={"detail": "Not Found"}, headers={"server": "uvicorn"})


def answered(_: httpx.Request) -> httpx.Response:
    return stream(*text("hi"), *END)


def no_model(name: str) -> httpx.Response:
    return httpx.Response(
        404, json={"error": {"message": f"The model `{name}` does not exist.", "code": 404}}
    )


SERVERS: dict[str, dict[str, Any]] = {
    "llama_cpp": {
        MODELS: models("m", owner="llamacpp", server="llama.cpp"),
        PROPS: httpx.Response(
            200,
            json={
                "model_alias": "m",
                "chat_template": "<|im_start|>",
                "default_generation_settings": {"n_ctx": 4096},
            },
        ),
        CHAT: answered,
    },
    "vllm": {MODELS: models("n", owner="vllm"), PROPS: NOT_FOUND, CHAT: answered},
    "ollama": {
        MODELS: models("o", owner="library"),
        "/": httpx.Response(200, text="Ollama is running"),
        "/api/version": httpx.Response(200, json={"version": "0.12.1"}),
        PROPS: httpx.Response(404, text="404 page not found"),
        CHAT: answered,
    },
}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def health(app: Bridge) -> tuple[int, str | None]:
    call = await ask(app, "/health")
    return call.status, call.json["backend"]


async def settled() -> None:
    """What goes on beside the requests has come to its end."""
    for _ in range(50):
        await asyncio.sleep(0)


class Replaced:
    """An application that knows the first server, and meets the second."""

    def __init__(self, first: str, second: str, clock: Clock, *, refused: bool) -> None:
        self.backend = Backend(dict(SERVERS[first]))
        self.app = bridge(self.backend, backend_kind="auto")
        self._second, self._clock, self._refused = second, clock, refused

    async def replace(self) -> None:
        self._clock.now += 2
        if self._refused:
            self.backend.become(dict.fromkeys((MODELS, PROPS, CHAT), httpx.ConnectError("refused")))
            assert (await ask(self.app, CHAT, QUESTION)).json["error"][
                "code"
            ] == "backend_unavailable"
            self._clock.now += 2
        self.backend.become(SERVERS[self._second])


PAIRS = pytest.mark.parametrize(("first", "second"), list(permutations(SERVERS, 2)))
MOMENT = pytest.mark.parametrize("refused", [True, False], ids=["refused", "at once"])


@PAIRS
@MOMENT
async def test_health_names_the_new_one_and_is_never_in_trouble_for_long(
    first: str, second: str, refused: bool, clock: Clock
) -> None:
    it = Replaced(first, second, clock, refused=refused)
    assert await health(it.app) == (200, first)
    assert (await ask(it.app, CHAT, QUESTION)).status == 200
    await it.replace()
    assert (await health(it.app))[0] == 200
    if first == "llama_cpp" or refused:  # an answer did not fit its kind
        clock.now += 2
        assert await health(it.app) == (200, second)
    clock.now += RECHECK_INTERVAL + 1
    await ask(it.app, "/health")
    await settled()
    clock.now += 2
    assert await health(it.app) == (200, second)


@PAIRS
@MOMENT
async def test_a_chat_is_asked_as_the_new_one_wants_it(
    first: str, second: str, refused: bool, clock: Clock
) -> None:
    it = Replaced(first, second, clock, refused=refused)
    assert (await ask(it.app, CHAT, QUESTION)).status == 200
    await it.replace()
    clock.now += RECHECK_INTERVAL + 1
    assert [(await ask(it.app, CHAT, QUESTION)).status for _ in range(2)] == [200, 200]
    await settled()
    await ask(it.app, CHAT, QUESTION)
    asked = it.backend.questions(CHAT)[-1]
    assert asked["model"] == {"llama_cpp": "m", "vllm": "n", "ollama": "o"}[second]
    assert ("return_progress" in asked) is (second == "llama_cpp")


@PAIRS
async def test_one_refused_chat_is_enough(first: str, second: str, clock: Clock) -> None:
    it = Replaced(first, second, clock, refused=False)
    assert (await ask(it.app, CHAT, QUESTION)).status == 200
    await it.replace()
    it.backend.on({CHAT: [no_model("m"), answered]})
    assert [(await ask(it.app, CHAT, QUESTION)).status for _ in range(2)] == [404, 200]
    assert ("return_progress" in it.backend.questions(CHAT)[-1]) is (second == "llama_cpp")


async def test_a_refusal_that_fits_costs_one_look_and_nothing_is_unlearned(clock: Clock) -> None:
    backend = Backend(dict(SERVERS["vllm"]))
    app = bridge(backend, backend_kind="auto")
    refused = httpx.Response(400, json={"error": {"message": "stream_options is not supported"}})
    backend.on({CHAT: [refused, answered]})
    for _ in range(3):
        assert (await ask(app, CHAT, QUESTION)).status == 200
    assert ["stream_options" in asked for asked in backend.questions(CHAT)] == [
        True,
        False,
        False,
        False,
    ]


async def test_pages_that_a_server_never_had_cost_nothing(clock: Clock) -> None:
    """Without a list of models, without a template: the same questions go with each request, not
    more of them.
    """
    for kind, missing in (("vllm", MODELS), ("llama_cpp", PROPS), ("ollama", "/api/ps")):
        backend = Backend(dict(SERVERS[kind]))
        app = bridge(backend, backend_kind="auto")
        await ask(app, CHAT, QUESTION)
        backend.on({missing: NOT_FOUND})
        clock.now += 31
        counts: list[int] = []
        for _ in range(4):
            asked = len(backend.asked)
            assert (await ask(app, CHAT, QUESTION)).status == 200
            await settled()
            counts.append(len(backend.asked) - asked)
        assert max(counts[1:]) <= 2


@pytest.mark.parametrize("status", [429, 503])
async def test_a_trouble_of_the_moment_costs_nothing(status: int, clock: Clock) -> None:
    backend = Backend(dict(SERVERS["vllm"]))
    app = bridge(backend, backend_kind="auto")
    await ask(app, CHAT, QUESTION)
    backend.on({CHAT: httpx.Response(status, json={"error": {"message": "later"}})})
    asked = len(backend.asked)
    for _ in range(3):
        assert (await ask(app, CHAT, QUESTION)).status == status
    assert [request.url.path for request in backend.asked[asked:]] == [CHAT] * 3


async def test_the_template_of_another_model_at_the_same_address_is_read(clock: Clock) -> None:
    backend = Backend(dict(SERVERS["llama_cpp"]))
    app = bridge(backend, backend_kind="llama_cpp")

    async def template() -> str | None:
        await ask(app, CHAT, QUESTION)
        return (await app.app_state.backend()).model_hint("m").template

    assert await template() == "<|im_start|>"
    backend.on({PROPS: httpx.Response(200, json={"chat_template": "[INST]"})})
    assert await template() == "<|im_start|>"  # no request asks for it each time
    clock.now += TEMPLATE_TTL + 1
    assert await template() == "[INST]"
    backend.on({PROPS: httpx.ReadTimeout("busy")})
    clock.now += TEMPLATE_TTL + 1
    asked = len(backend.asked)
    # It stays, and is not asked for each time.
    assert [await template(), await template()] == ["[INST]", "[INST]"]
    assert [request.url.path for request in backend.asked[asked:]].count(PROPS) == 1
    backend.on(
        {
            PROPS: httpx.Response(200, json={"chat_template": "<start>"}),
            CHAT: [no_model("m"), answered],
        }
    )
    # After a refusal it is read at once.
    assert [await template(), await template()] == ["[INST]", "<start>"]


async def test_where_templates_were_is_forgotten(clock: Clock) -> None:
    """A child of ours has another port after each start."""
    backend = Backend(dict(SERVERS["llama_cpp"]))
    app = bridge(backend, backend_kind="llama_cpp")
    await ask(app, CHAT, QUESTION)
    raw = (await app.app_state.backend()).raw_mode()
    assert raw is not None
    for port in range(2, 5):
        clock.now += TEMPLATE_TTL + 1
        other = bridge(
            backend, backend_kind="llama_cpp", backend_url=f"http://10.0.0.5:{port}"
        ).app_state.provider
        seat = raw.for_backend(await app.app_state.backend())
        seat._backend.provider = other
        assert await seat.chat_template() == "<|im_start|>"
        assert len(raw._templates) == 1


def test_six_chats_to_a_host_that_swallows_packets_share_one_attempt() -> None:
    async def swallow() -> httpx.Response:
        await asyncio.sleep(2)
        raise httpx.ConnectTimeout("nothing came back")

    async def scene() -> None:
        backend = Backend({MODELS: lambda _: swallow()})
        app = bridge(backend, backend_kind="auto")
        loop = asyncio.get_running_loop()
        calls = [Call(app, CHAT, QUESTION) for _ in range(6)]
        leaves = Call(app, CHAT, QUESTION)
        await asyncio.sleep(1)
        leaves.hang_up()
        for call in calls:
            await call.done()
            assert (call.status, call.json["error"]["code"], loop.time()) == (
                503,
                "backend_unavailable",
                2,
            )
        # A moment later: at once, and it is not asked again.
        assert (await ask(app, CHAT, QUESTION)).status == 503
        assert (len(backend.asked), loop.time()) == (1, 2)
        await leaves.done()

    with asyncio.Runner(loop_factory=Jumping) as runner:
        runner.run(scene())


async def test_a_failure_holds_for_a_moment_only(clock: Clock) -> None:
    backend = Backend({MODELS: httpx.ConnectError("refused")})
    app = bridge(backend, backend_kind="auto")
    assert (await ask(app, CHAT, QUESTION)).status == 503
    backend.become(SERVERS["vllm"])
    assert (await ask(app, CHAT, QUESTION)).status == 503
    clock.now += ERROR_TTL
    assert (await ask(app, CHAT, QUESTION)).status == 200
