"""One line of each request: figures that a person reads, never what was said, never a key."""

import logging
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.completion import request_stats
from proxy.completion.request_stats import RequestStats
from proxy.parsing.events import Usage
from tests.asgi import ask
from tests.backend import DONE, ROLE, STOP, USAGE, Backend, chunk, models, stream
from tests.bridge import bridge

LINES = pytest.LogCaptureFixture


@pytest.fixture(autouse=True)
def heard(caplog: LINES) -> None:
    caplog.set_level("INFO", "llama-bridge")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """It stands at its `now`."""
    clock = SimpleNamespace(now=100.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(request_stats, "time", clock)
    return clock


def written(caplog: LINES, record: RequestStats) -> tuple[int, str]:
    record.write()
    return caplog.records[-1].levelno, caplog.records[-1].getMessage()


def at_100(**known: Any) -> RequestStats:
    return RequestStats("req_a", "POST", "/v1/chat/completions", 100.0, **known)


def test_all_of_it(caplog: LINES, clock: SimpleNamespace) -> None:
    it = at_100(
        status=200,
        model="qwen",
        usage=Usage(prompt=12_345, completion=1_001, cached=12_000),
        calls=Counter(hermes=2, native=1),
    )
    clock.now = 100.5
    it.add_output()
    clock.now = 110.5
    it.add_output()
    clock.now = 110.75
    assert written(caplog, it) == (
        logging.INFO,
        "req_a POST /v1/chat/completions 200 qwen in 12,345 (cached 12,000) out 1,001, 100.1 tok/s,"
        " first after 0.50 s, 10.75 s | calls: 2 hermes, 1 native",
    )


@pytest.mark.parametrize(
    ("waited", "said"),
    [
        (0.0, ""),
        (0.04, ""),
        (0.06, "waited 0.06 s for its turn, "),
        (3.0, "waited 3.00 s for its turn, "),
    ],
)
def test_the_wait_for_others(
    caplog: LINES, clock: SimpleNamespace, waited: float, said: str
) -> None:
    it = at_100(status=200)
    with it.measure_wait():
        clock.now += waited
    assert written(caplog, it)[1] == f"req_a POST /v1/chat/completions 200 {said}{waited:.2f} s"
    assert it.as_dict()["waited"] == waited


@pytest.mark.parametrize(
    ("quoted", "words"),
    [
        ({"blockquote": 1}, "quoted: 1 (blockquote)"),
        ({"list": 2}, "quoted: 2 (list)"),
        ({"list": 2, "code": 1}, "quoted: 3 (code 1, list 2)"),
    ],
)
def test_quoted_calls_are_counted_by_rule(
    quoted: dict[str, int], words: str, caplog: LINES
) -> None:
    it = at_100(status=200, quoted=Counter(quoted))
    assert written(caplog, it)[1].endswith(f" | {words}")
    assert it.as_dict()["quoted"] == quoted


@pytest.mark.parametrize(
    ("usage", "touches", "tokens"),
    [
        (Usage(prompt=3, completion=5), 0, "in 3 (cached 0) out 5, "),
        (Usage(prompt=3, completion=5), 1, "in 3 (cached 0) out 5, first after 0.00 s, "),
        (Usage(prompt=3, completion=1), 2, "in 3 (cached 0) out 1, first after 0.00 s, "),
        (
            Usage(prompt=3, completion=5),
            2,
            "in 3 (cached 0) out 5, 5.0 tok/s, first after 0.00 s, ",
        ),
        (None, 0, ""),
    ],
)
def test_no_rate_for_output_that_arrived_at_once(
    usage: Usage | None, touches: int, tokens: str, caplog: LINES, clock: SimpleNamespace
) -> None:
    it = at_100(status=200, usage=usage)
    for _ in range(touches):
        it.add_output()
        clock.now += 1
    clock.now = 101.0
    assert written(caplog, it) == (
        logging.INFO,
        f"req_a POST /v1/chat/completions 200 {tokens}1.00 s",
    )


def test_an_estimate_is_marked_as_one(caplog: LINES, clock: SimpleNamespace) -> None:
    it = at_100(status=200, usage=Usage(prompt=3, completion=5), estimated=True)
    assert "in ~3 (cached 0) out ~5, " in written(caplog, it)[1]


@pytest.mark.parametrize(
    ("status", "note", "level", "end"),
    [
        (200, "", logging.INFO, " 200 0.00 s"),
        (404, "", logging.INFO, " 404 0.00 s"),
        (404, "no such model", logging.WARNING, " 404 0.00 s | no such model"),
        (500, "", logging.WARNING, " 500 0.00 s"),
        (200, "it broke off", logging.WARNING, " 200 0.00 s | it broke off"),
        (None, "", logging.INFO, " gone 0.00 s"),
    ],
)
def test_trouble_is_a_warning(
    status: int | None, note: str, level: int, end: str, caplog: LINES, clock: SimpleNamespace
) -> None:
    assert written(caplog, at_100(status=status, error=note)) == (
        level,
        "req_a POST /v1/chat/completions" + end,
    )


async def test_the_log_line_of_a_real_answer_contains_no_content(caplog: LINES) -> None:
    answer = stream(ROLE, chunk({"content": "the answer"}), STOP, USAGE, DONE)
    app = bridge(
        Backend({"/v1/models": models("m"), "/v1/chat/completions": answer}),
        proxy_api_keys="secret",
        backend_api_key="theirs",
    )
    question = {"model": "m", "messages": [{"role": "user", "content": "the question"}]}
    call = await ask(
        app,
        "/v1/chat/completions?x=private",
        question,
        headers=[("authorization", "Bearer secret")],
    )
    (line,) = [line for line in caplog.messages if "req_" in line]
    assert line.startswith(
        f"{call.headers['x-request-id']} POST /v1/chat/completions 200 m in 20 (cached 7) out 5"
    )
    assert not any(
        word in caplog.text
        for word in ("the answer", "the question", "secret", "theirs", "private")
    )
