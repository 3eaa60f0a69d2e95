"""Large requests are read and written in a thread, small ones at once."""

import threading

import pytest

from proxy.chat_request.offload import LARGE, offload
from tests.backend import END, stream, text
from tests.web.round_trip import Road, heard


@pytest.mark.parametrize(("size", "is_here"), [(0, True), (LARGE, True), (LARGE + 1, False)])
async def test_only_what_is_large_is_given_away(size: int, is_here: bool) -> None:
    def work(one: int, *, two: int) -> tuple[int, int]:
        return threading.get_ident(), one + two

    thread, result = await offload(size, work, 1, two=2)
    assert (thread == threading.get_ident(), result) == (is_here, 3)


async def test_what_a_thread_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await offload(LARGE + 1, lambda: 1 // 0)


@pytest.mark.parametrize(("letters", "is_here"), [(10, True), (LARGE, False)])
async def test_where_a_request_is_read_and_written(
    letters: int, is_here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: dict[str, int] = {}

    def noted(name: str, module: str) -> None:
        inner = getattr(__import__(module, fromlist=[name]), name)

        def work(*arguments: object) -> object:
            threads[name] = threading.get_ident()
            return inner(*arguments)

        monkeypatch.setattr(f"{module}.{name}", work)

    noted("parse", "proxy.chat_request.request")
    noted("build_body", "proxy.backends.base")
    noted("_route_request", "proxy.web.chat")
    road = Road(stream(*text("hello"), *END))
    assert (
        heard(await road.ask(messages=[{"role": "user", "content": "x" * letters}])).content
        == "hello"
    )
    assert threads.keys() == {"parse", "build_body", "_route_request"}
    assert {thread == threading.get_ident() for thread in threads.values()} == {is_here}
