"""How any backend is asked: which model, what is asked again, what it tells."""

import asyncio

import httpx
import pytest

from proxy.backends import KINDS
from proxy.backends.address import BackendAddress
from proxy.backends.base import Backend
from proxy.backends.detection import ERROR_TTL, Detection
from proxy.backends.generic import Generic
from proxy.backends.http import HttpClient
from proxy.backends.llama_cpp.backend import LlamaCpp
from proxy.backends.lm_studio import LmStudio
from proxy.backends.ollama import Ollama
from proxy.backends.provider import FixedProvider
from proxy.backends.server_info import BackendInfo
from proxy.backends.vllm import Vllm
from proxy.chat_request.request import ChatRequest, parse
from proxy.errors import BackendRefused, BackendStatusError, ModelNotFound, Unavailable
from tests.backend import Backend as Script
from tests.backend import models, stream
from tests.clock import Clock

PLACE = FixedProvider(BackendAddress("http://10.0.0.5/v1", "k"))
MODELS, CHAT = "/v1/models", "/v1/chat/completions"


def _question(model: str = "m") -> ChatRequest:
    return parse(b'{"messages": [], "model": "%s"}' % model.encode())


def _generic(script: Script, wanted: str | None = None) -> Backend:
    return Generic(HttpClient(script), PLACE, wanted)


async def test_a_named_place_is_always_there() -> None:
    PLACE.report_success()
    assert (PLACE.unavailable_reason(), PLACE.device(), (await PLACE.address()).host) == (
        None,
        None,
        "10.0.0.5",
    )


async def test_the_question_and_its_headers() -> None:
    script = Script({MODELS: models("m"), CHAT: stream()})
    response = await _generic(script).send_chat(_question(), [(b"x-session-id", b"s")])
    assert response.status_code == 200
    sent = script.asked[-1].headers
    assert (sent["authorization"], sent["x-session-id"], sent["accept-encoding"]) == (
        "Bearer k",
        "s",
        "identity",
    )
    assert script.questions()[0]["model"] == "m"


async def test_without_a_key_none_is_sent() -> None:
    script = Script({MODELS: models("m"), CHAT: stream()})
    await Generic(
        HttpClient(script), FixedProvider(BackendAddress("http://10.0.0.5/v1"))
    ).send_chat(_question(), [])
    assert "authorization" not in script.asked[-1].headers


async def test_a_backend_that_refuses_stream_options_is_asked_without_and_this_is_remembered() -> (
    None
):
    refusal = httpx.Response(422, json={"detail": "stream_options: extra fields not permitted"})
    script = Script({MODELS: models("m"), CHAT: [refusal, stream(), stream()]})
    backend = _generic(script)
    await backend.send_chat(_question(), [])
    await backend.send_chat(_question(), [])
    assert ["stream_options" in question for question in script.questions()] == [True, False, False]


class Moved(FixedProvider):
    async def failover(self, refused: BackendAddress) -> BackendAddress:
        assert refused == self.target
        return BackendAddress("http://10.0.0.6/v1", "new")


async def test_a_failed_connection_may_lead_to_another_address() -> None:
    script = Script(
        {
            MODELS: [httpx.ConnectError("refused"), models("m")],
            CHAT: [httpx.ConnectError("refused"), stream()],
        }
    )
    assert (
        await Generic(HttpClient(script), Moved(PLACE.target)).send_chat(_question(), [])
    ).status_code == 200
    assert [request.url.host for request in script.asked] == ["10.0.0.5", "10.0.0.6"] * 2
    assert [request.headers["authorization"] for request in script.asked] == [
        "Bearer k",
        "Bearer new",
    ] * 2
    with pytest.raises(Unavailable):
        await _generic(Script({MODELS: httpx.ConnectError("refused")})).models()
    with pytest.raises(Unavailable):  # but /health does not wait there for somebody who starts
        await Generic(
            HttpClient(Script({MODELS: httpx.ConnectError("refused")})), Moved(PLACE.target)
        ).get_json(MODELS)


THINKING = parse(
    b'{"model": "m", "messages": [{"role": "assistant", "content": "", "reasoning_content": "r"}]}'
)


async def test_a_backend_that_takes_no_thoughts_is_asked_without_and_this_is_remembered() -> None:
    refusal = httpx.Response(
        400, json={"error": {"message": "property 'messages.0.reasoning_content' is unsupported"}}
    )
    script = Script({MODELS: models("m"), CHAT: [refusal, stream(), stream()]})
    backend = _generic(script)
    await backend.send_chat(THINKING, [])
    await backend.send_chat(THINKING, [])
    assert ["reasoning_content" in question["messages"][0] for question in script.questions()] == [
        True,
        False,
        False,
    ]


async def test_a_backend_that_misses_thoughts_is_not_asked_without() -> None:
    refusal = httpx.Response(
        400, json={"error": {"message": "The `reasoning_content` must be passed back to the API."}}
    )
    script = Script({MODELS: models("m"), CHAT: refusal})
    with pytest.raises(BackendRefused):
        await _generic(script).send_chat(THINKING, [])
    assert len(script.questions()) == 1


async def test_any_other_refusal_is_not_asked_again() -> None:
    script = Script({MODELS: models("m"), CHAT: httpx.Response(400, json={"error": "bad"})})
    backend = _generic(script)
    with pytest.raises(BackendRefused, match="bad"):
        await backend.send_chat(_question(), [])
    assert len(script.questions()) == 1
    script.on({CHAT: httpx.Response(401, json={"error": "Unauthorized"})})
    with pytest.raises(BackendStatusError, match="Unauthorized"):
        await backend.send_chat(_question(), [])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the list of models is kept by."""
    now = [100.0]
    monkeypatch.setattr("proxy.backends.base.time.monotonic", lambda: now[0])
    return now


async def test_an_unknown_model_is_looked_for_once_more_then_mapped(clock: list[float]) -> None:
    script = Script({MODELS: [models("a"), models("a", "new")]})
    backend = _generic(script)
    assert await backend.resolve_model("a") == "a"
    assert await backend.resolve_model("other") == "a"
    assert len(script.asked) == 1  # not more than once a second
    clock[0] += 2
    assert await backend.resolve_model("new") == "new"
    with pytest.raises(ModelNotFound):
        await backend.resolve_model("other")


@pytest.mark.parametrize("kind", [Generic, LlamaCpp, Ollama, LmStudio, Vllm])
@pytest.mark.parametrize("name", ["unknown", None])
@pytest.mark.parametrize("wanted", [None, "m"])
async def test_an_unknown_name_does_not_cost_a_look_at_the_models_per_chat(
    kind: type[Backend], name: str | None, wanted: str | None, clock: list[float]
) -> None:
    script = Script({MODELS: models("m")})
    backend = kind(HttpClient(script), PLACE, wanted)
    for _ in range(14):
        clock[0] += 2
        assert await backend.resolve_model(name) == "m"
    assert sum(request.url.path == MODELS for request in script.asked) <= 2
    clock[0] += 31
    script.on({MODELS: models("m", "unknown")})
    assert await backend.resolve_model("unknown") == "unknown"


async def test_a_model_that_came_after_it_was_missed_is_found_at_the_next_look(
    clock: list[float],
) -> None:
    script = Script({MODELS: [models("a", "b"), models("a", "b"), models("a", "b", "new")]})
    backend = _generic(script)
    for _ in range(2):
        with pytest.raises(ModelNotFound):
            await backend.resolve_model("new")
        clock[0] += 2
    assert await backend.resolve_model("new") == "new"


async def test_names_that_were_missed_do_not_fill_the_memory(clock: list[float]) -> None:
    script = Script({MODELS: lambda _: models("m")})
    backend = _generic(script)
    for number in range(3000):
        assert await backend.resolve_model(f"n{number}") == "m"
    assert clock == [100.0]
    assert len(script.asked) == 1
    assert len(backend._unknown_names) <= 1000


async def test_a_server_that_lists_nothing_while_it_generates() -> None:
    script = Script({MODELS: httpx.ReadTimeout("busy")})
    assert await _generic(script).resolve_model("m") == "m"


@pytest.mark.parametrize(
    ("failure", "looks"),
    [
        (httpx.Response(404), 2),
        (httpx.Response(200, text="<html>"), 2),
        (httpx.ReadTimeout("busy"), 20),
        (httpx.Response(500), 20),
        (httpx.Response(429), 20),
    ],
)
async def test_a_server_without_a_list_is_not_asked_for_it_at_each_chat(
    failure: httpx.Response | Exception, looks: int, clock: list[float]
) -> None:
    script = Script({MODELS: failure})
    backend = _generic(script)
    for name in ("a", "b") * 20:
        assert await backend.resolve_model(name) == name  # two chats at once look once
        clock[0] += 0.9 if name == "a" else 1.1
    assert len(script.asked) == looks
    script.on({MODELS: models("m")})
    backend.invalidate()
    assert await backend.resolve_model("a") == "m"


async def test_a_client_without_access_to_the_list_gets_the_reason() -> None:
    with pytest.raises(BackendStatusError, match="Unauthorized"):
        await _generic(
            Script({MODELS: httpx.Response(401, json={"error": "Unauthorized"})})
        ).models()


async def test_what_every_backend_reports() -> None:
    script = Script(
        {MODELS: httpx.Response(200, json={"data": [{"id": "v", "max_model_len": 99}]})}
    )
    assert await _generic(script).describe() == BackendInfo("v", 99)
    assert await _generic(script, "other").describe() == BackendInfo("other")
    assert await _generic(Script({MODELS: models("a", "b")})).describe() == BackendInfo()


async def test_the_reply_and_nothing_to_count() -> None:
    backend = _generic(Script())
    await backend.check_overflow(_question())
    assert list(backend.response_reader().read({"choices": []})) == []


def _detection(script: Script, kinds: tuple[type[Backend], ...] = KINDS) -> Detection:
    return Detection(kinds, HttpClient(script), PLACE, None)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (models("m", server="llama.cpp"), LlamaCpp),
        (models("m", owner="llamacpp"), LlamaCpp),
        (
            httpx.Response(
                503, json={"error": {"message": "Loading model"}}, headers={"server": "llama.cpp"}
            ),
            LlamaCpp,
        ),
        (models("m"), Generic),
        (httpx.Response(404), Generic),
        (httpx.Response(200, text="<html>"), Generic),
    ],
)
async def test_which_kind_it_is(answer: httpx.Response, kind: type[Backend]) -> None:
    script = Script({MODELS: answer})
    assert type(await _detection(script).backend()) is kind
    assert script.asked[0].headers["authorization"] == "Bearer k"


async def test_it_is_detected_once_and_again_after_a_refusal() -> None:
    script = Script({MODELS: models("m", server="llama.cpp")})
    detection = _detection(script)
    first = await asyncio.gather(detection.backend(), detection.backend())
    assert first[0] is first[1]
    assert len(script.asked) == 1
    detection.mark_stale()
    script.on({MODELS: models("m")})
    assert type(await detection.backend()) is Generic


async def test_a_backend_that_is_down_is_found_when_it_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    script = Script({MODELS: [httpx.ConnectError("refused"), models("m")]})
    detection = _detection(script)
    with pytest.raises(Unavailable):
        await detection.backend()
    with pytest.raises(Unavailable):
        await detection.backend()
    assert len(script.asked) == 1
    clock.now += ERROR_TTL
    assert type(await detection.backend()) is Generic


async def test_a_configured_kind_is_not_detected() -> None:
    script = Script()
    detection = _detection(script, (LlamaCpp,))
    first = await detection.backend()
    detection.mark_stale()
    assert await detection.backend() is first
    assert script.asked == []
