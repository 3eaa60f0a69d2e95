"""The page at `/`: its parts, its data, and that it never shows the content of a conversation."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from proxy.web import dashboard
from tests import jsonc
from tests.asgi import Call, ask
from tests.backend import END, ROLE, Backend, chunk, models, stream, text
from tests.bridge import bridge
from tests.web.round_trip import CHAT, QUESTION, refused

PAGE = ("accept", "text/html,application/xhtml+xml")
WATCH = ("accept", "text/event-stream")
SECRET = "the swordfish swims at noon"


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dashboard.REFRESH_INTERVAL == 1.0
    monkeypatch.setattr(dashboard, "REFRESH_INTERVAL", 0.01)


def script(*pieces: Any) -> Backend:
    return Backend({"/v1/models": models("m"), CHAT: lambda _: stream(ROLE, *pieces)})


async def test_one_page_and_nothing_from_elsewhere() -> None:
    app = bridge()
    call = await ask(app, "/", headers=[PAGE])
    assert (call.status, call.headers["content-type"], call.headers["cache-control"]) == (
        200,
        "text/html; charset=utf-8",
        "no-store",
    )
    assert len(call.body) < 16_000
    assert not re.search(r"https?://|src=|@import|url\(", call.text)
    assert "innerHTML" not in call.text
    policy = call.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; connect-src 'self';")
    assert len(re.findall("'sha256-[A-Za-z0-9+/]{43}='", policy)) == 2
    assert "unsafe" not in policy
    assert (await ask(app, "/", headers=[PAGE], method="HEAD")).body == b""
    status, error = refused(await ask(app, "/", b"{}"))
    assert (status, error["code"]) == (405, "method_not_allowed")


async def test_it_is_there_too_while_nothing_is_ready() -> None:
    app = bridge(Backend({"/v1/models": httpx.ConnectError("refused")}))
    assert (await ask(app, "/", headers=[PAGE])).status == 200
    assert (await ask(app, "/")).status == 503


async def test_json_for_all_other_clients() -> None:
    app = bridge(script(*text(SECRET), *END))
    await ask(app, CHAT, QUESTION | {"messages": [{"role": "user", "content": SECRET}]})
    await ask(app, "/health")
    call = await ask(
        app, "/", headers=[("host", "mypc.lan:99"), ("accept", "*/*")], server=("1.2.3.4", 99)
    )
    assert call.status == 403
    call = await ask(app, "/", headers=[("host", "localhost:99"), ("accept", "*/*")])
    (row,) = call.json["last"]
    assert (row["method"], row["path"], row["status"], row["model"], row["note"]) == (
        "POST",
        CHAT,
        200,
        "m",
        "",
    )
    assert (
        row["prompt_tokens"],
        row["cached_tokens"],
        row["completion_tokens"],
        row["estimated"],
    ) == (20, 7, 5, False)
    assert SECRET not in call.text
    assert call.json["live"] == []
    assert call.json["connect"]["address"] == "http://localhost:99/v1"
    assert (
        jsonc.parsed(call.json["connect"]["opencode"])["provider"]["llama-bridge"]["options"][
            "apiKey"
        ]
        == "not-needed"
    )
    assert call.json["connect"]["curl"].startswith("curl http://localhost:99/v1/chat/completions")


async def test_no_key_stands_there() -> None:
    app = bridge(proxy_api_keys="sk-secret", backend_api_key="sk-theirs")
    call = await ask(app, "/", headers=[("authorization", "Bearer sk-secret")])
    assert "YOUR-KEY" in call.json["connect"]["opencode"]
    assert "authorization: Bearer YOUR-KEY" in call.json["connect"]["curl"]
    assert "sk-" not in call.text


def news(call: Call) -> dict[str, Any]:
    """Return the data of a page that has received all events so far."""
    known: dict[str, Any] = {}
    for part in call.data:
        known |= part
    return known


def knows(what: Callable[[dict[str, Any]], Any]) -> Callable[[Call], bool]:
    return lambda call: bool(call.data and what(news(call)))


async def test_a_page_that_stays_open_hears_what_changes() -> None:
    reading, talking = asyncio.Event(), asyncio.Event()
    progress = chunk({"content": None}, prompt_progress={"total": 9, "processed": 4})
    app = bridge(script(progress, reading, *text(SECRET), talking, *END), backend_kind="llama_cpp")
    page = Call(app, "/", headers=[WATCH])
    await page.until(knows(lambda it: it["report"]["status"]))
    assert page.headers["content-type"] == "text/event-stream"
    question = Call(app, CHAT, QUESTION | {"stream": True})
    await page.until(
        knows(lambda it: it["live"] and it["live"][0]["waits"] == "prompt 4 of 9 (44 %)")
    )
    reading.set()
    await page.until(
        knows(
            lambda it: (
                it["live"][0]["waits"] is None
                and it["live"][0]["completion_tokens"] == len(SECRET) // 4
            )
        )
    )
    talking.set()
    await question.done()
    await page.until(knows(lambda it: not it["live"] and it["last"][0]["completion_tokens"] == 5))
    assert SECRET not in page.text
    (first, *others) = page.data
    assert first.keys() == {"report", "live", "last", "connect"}
    assert all(part.keys() < first.keys() for part in others)
    page.hang_up()
    await page.done()
    assert not page.complete


async def test_unchanged_state_is_not_sent() -> None:
    app = bridge()
    page = Call(app, "/", headers=[WATCH])
    await page.until(lambda page: bool(page.data))
    await asyncio.sleep(0.05)
    assert len(page.data) == 1
    page.hang_up()
    await page.done()


async def test_dashboards_do_not_count_as_requests_but_are_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dashboard, "MAX_WATCHERS", 2)
    app = bridge(max_requests="1")
    pages = [Call(app, "/", headers=[WATCH]) for _ in range(2)]
    for page in pages:
        await page.until(lambda page: bool(page.data))
    assert (await ask(app, "/v1/models")).status == 200
    status, error = refused(await ask(app, "/", headers=[WATCH]))
    assert (status, error["code"]) == (503, "busy")
    pages[0].hang_up()
    await pages[0].done()
    third = Call(app, "/", headers=[WATCH])
    await third.until(lambda page: bool(page.data))
    app.close()
    for page in (pages[1], third):
        assert not (await page.done()).complete


@pytest.mark.parametrize("accept", ["text/event-stream", "text/html", "*/*"])
async def test_a_head_request_ends(accept: str) -> None:
    call = await ask(bridge(), "/", method="HEAD", headers=[("accept", accept)])
    assert (call.status, call.body, call.complete) == (200, b"", True)
