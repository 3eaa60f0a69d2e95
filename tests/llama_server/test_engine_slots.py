"""What the engine says of its slots, and what is made of it."""

import httpx
import pytest

from proxy.llama_server import ProcessAddress
from proxy.llama_server.admission_queue import EngineSlotMonitor


@pytest.mark.parametrize(
    ("answer", "free"),
    [
        (httpx.Response(200, json=[{"is_processing": True}, {"is_processing": False}]), True),
        (httpx.Response(200, json=[{"is_processing": True}, {"is_processing": True}]), False),
        (httpx.Response(501, json={"error": {"message": "no slots"}}), True),  # --no-slots
        (httpx.Response(404, text="what?"), True),
        (httpx.ConnectError("it has died"), True),
        (httpx.ReadTimeout("in a long batch"), False),
    ],
)
async def test_the_slots_that_the_engine_reports(
    monkeypatch: pytest.MonkeyPatch, answer: httpx.Response | Exception, free: bool
) -> None:
    asked: list[httpx.Request] = []

    async def handle(_: object, request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)
    slots = EngineSlotMonitor(lambda: ProcessAddress("http://127.0.0.1:1", "key"))
    assert await slots.at_most(1) is free
    await slots.clear_idle()  # its errors are ignored
    assert [
        (request.method, request.url.path, request.headers["authorization"]) for request in asked
    ] == [
        ("GET", "/slots", "Bearer key"),
        ("POST", "/completion", "Bearer key"),
    ]
