"""zen: the session, the keys, the models of another wire."""

from typing import Any

import httpx
import pytest

from proxy import banner
from proxy.app import create_app
from proxy.backends.address import BackendAddress
from proxy.backends.http import HttpClient
from proxy.backends.provider import FixedProvider
from proxy.backends.server_info import BackendInfo
from proxy.backends.zen import Zen
from proxy.chat_request.request import ChatRequest, parse
from proxy.errors import BackendRefused, ModelNotFound
from proxy.settings import load
from tests.asgi import ask
from tests.backend import Backend, models, stream

NEEDS_KEY = "zen needs your own key; get one at https://opencode.ai/auth and set ZEN_API_KEY"
CHAT = "/zen/v1/chat/completions"
QUESTION = parse(
    b'{"model": "glm-5.2", "messages": [{"role": "system", "content": "s"}, {"role": "user", '
    b'"content": "u"}]}'
)


def zen(wanted: str | None = None, **environment: str) -> tuple[Zen, Backend]:
    behind = Backend(
        {
            "/zen/v1/models": models("glm-5.2", "kimi-k3", "gpt-5.5", "claude-opus-5", "gemini-4"),
            CHAT: stream(),
        }
    )
    address = load({"BACKEND_URL": "zen", **environment}).backend_address
    return Zen(HttpClient(behind), FixedProvider(address), wanted), behind


async def sent(
    headers: list[tuple[bytes, bytes]],
    environment: dict[str, str] | None = None,
    question: ChatRequest = QUESTION,
) -> httpx.Headers:
    backend, behind = zen(**(environment or {}))
    await backend.send_chat(question, headers)
    return behind.asked[-1].headers


@pytest.mark.parametrize(
    ("given", "session"),
    [
        ([(b"x-session-id", b"ses_1"), (b"x-session-affinity", b"ses_2")], "ses_1"),
        ([(b"x-session-affinity", b"ses_2")], "ses_2"),
        ([(b"x-session-id", b""), (b"x-session-affinity", b"ses_2")], "ses_2"),
        ([(b"x-opencode-session", b"own"), (b"x-session-id", b"ses_1")], "own"),
        (
            [
                (b"x-session-id", b"parent"),
                (b"x-session-affinity", b"parent"),
                (b"x-opencode-session-id", b"child"),
            ],
            "child",
        ),
        ([(b"x-opencode-session", b"own"), (b"x-opencode-session-id", b"child")], "own"),
    ],
)
async def test_the_client_s_session_is_zen_s_session(
    given: list[tuple[bytes, bytes]], session: str
) -> None:
    assert (await sent(given)).get_list("x-opencode-session") == [session]


async def test_a_client_without_sessions_gets_one_for_each_conversation() -> None:
    later = parse(
        b'{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}, '
        b'{"role": "user", "content": "v"}]}'
    )
    other = parse(b'{"messages": [{"role": "user", "content": "u"}]}')
    sessions = [
        (await sent([], question=question)).get("x-opencode-session")
        for question in (QUESTION, QUESTION)
    ]
    sessions += [
        zen()[0].request_headers(question, [])[-1][1].decode() for question in (later, other)
    ]
    assert sessions[0] == sessions[1] == sessions[2] != sessions[3]


async def test_the_user_agent_is_not_faked() -> None:
    theirs = await sent([(b"user-agent", b"aider/1")])
    assert theirs.get_list("user-agent") == ["aider/1"]
    ours = await sent([])
    assert ours.get_list("user-agent") == ["llama-bridge"]
    assert not [
        name for name in ours if name.startswith("x-opencode-") and name != "x-opencode-session"
    ]


@pytest.mark.parametrize(
    ("environment", "key"),
    [
        ({}, "public"),
        ({"ZEN_API_KEY": "z"}, "z"),
        ({"BACKEND_API_KEY": "b"}, "b"),
        ({"ZEN_API_KEY": "z", "BACKEND_API_KEY": "b"}, "z"),
    ],
)
async def test_the_key(environment: dict[str, str], key: str) -> None:
    assert (await sent([], environment))["authorization"] == f"Bearer {key}"


async def test_models_of_another_wire_are_listed_as_such_and_refused() -> None:
    backend, behind = zen()
    assert {model.id: model.only_endpoint for model in await backend.models()} == {
        "glm-5.2": None,
        "kimi-k3": None,
        "gpt-5.5": "/responses",
        "claude-opus-5": "/messages",
        "gemini-4": "/models/{id}:generateContent",
    }
    with pytest.raises(
        BackendRefused,
        match=r"'gpt-5.5' is only available at /responses.* available here: glm-5.2, kimi-k3$",
    ) as caught:
        await backend.send_chat(parse(b'{"model": "gpt-5.5", "messages": []}'), [])
    assert (caught.value.status, behind.questions(CHAT)) == (400, [])
    with pytest.raises(ModelNotFound, match=r"BACKEND_MODEL to one: glm-5.2, kimi-k3$"):
        await backend.resolve_model("my-model")
    with pytest.raises(BackendRefused, match="/messages"):
        await zen("claude-opus-5")[0].resolve_model("my-model")
    assert await zen("kimi-k3")[0].resolve_model("my-model") == "kimi-k3"


async def test_a_look_at_its_health_does_not_ask_it_each_time() -> None:
    backend, behind = zen()
    assert [await backend.describe(), await backend.describe()] == [
        BackendInfo(advice=NEEDS_KEY)
    ] * 2
    assert len(behind.asked) == 1


async def test_who_has_a_key_needs_no_advice() -> None:
    assert await zen("kimi-k3", ZEN_API_KEY="z")[0].describe() == BackendInfo("kimi-k3")
    elsewhere = Zen(
        HttpClient(Backend({"/v1/models": models("m")})),
        FixedProvider(BackendAddress("http://10.0.0.5/v1")),
    )
    assert await elsewhere.describe() == BackendInfo("m")


async def test_without_a_key_the_error_says_where_to_get_one() -> None:
    app = create_app(load({"BACKEND_URL": "zen"}), transport=zen()[1])
    told = await ask(app, "/health")
    assert (told.status, told.json["status"], told.json["reason"]) == (200, "ok", NEEDS_KEY)
    assert NEEDS_KEY in banner.text("http://127.0.0.1:8081", None, await app.health.report())


async def test_the_model_that_was_chosen_is_shown_before_zen_can_be_reached() -> None:
    behind = Backend(
        {"/zen/v1/models": httpx.ConnectError("[Errno -3] Temporary failure in name resolution")}
    )
    report = await create_app(
        load({"BACKEND_URL": "zen", "BACKEND_MODEL": "glm-5.2"}), transport=behind
    ).health.report()
    reason = "cannot resolve https://opencode.ai; check the network connection and BACKEND_URL"
    assert (report.status, report.model, report.reason) == ("unavailable", "glm-5.2", reason)


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("gpt-oss-120b", None),
        ("qwen3-coder", None),
        ("qwen3.6-plus", "/messages"),
        ("o4", "/responses"),
    ],
)
async def test_families(name: str, wire: Any) -> None:
    backend, behind = zen()
    behind.on({"/zen/v1/models": models(name)})
    assert [model.only_endpoint for model in await backend.models()] == [wire]


async def test_clients_see_which_models_answer_elsewhere() -> None:
    behind = Backend({"/zen/v1/models": models("glm-5.2", "gpt-5.5")})
    listed = (
        await ask(create_app(load({"BACKEND_URL": "zen"}), transport=behind), "/v1/models")
    ).json["data"]
    assert [model.get("answers_only_at") for model in listed] == [None, "/responses"]
