"""Waiting requests: shown in the log, `/health`, the dashboard, and optionally as reasoning."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.chat_request.progress_notes import progress_note, strip_notes
from proxy.completion import request_stats
from proxy.completion.prompt_progress import PromptProgress
from proxy.completion.request_stats import RequestStats
from proxy.parsing.events import Progress
from proxy.web import connection, inflight
from proxy.web.inflight import InflightRequests
from tests.asgi import Call, ask
from tests.backend import END, ROLE, Backend, chunk, models, stream, text
from tests.bridge import bridge
from tests.patience import HANGS
from tests.web.round_trip import CHAT, QUESTION, Road, heard


def test_the_sentence() -> None:
    reading = PromptProgress.start(Progress(0, 10_240), 100.0)
    assert reading.describe(100.0) == "prompt 0 of 10,240 (0 %)"
    reading.update(Progress(4_096, 10_240), 141.6)
    assert reading.describe(141.6) == "prompt 4,096 of 10,240 (40 %), 98 tok/s, about 62 s left"
    assert reading.describe(151.6) == "prompt 4,096 of 10,240 (40 %), 98 tok/s, about 52 s left"
    assert reading.describe(999.0).endswith("about 0 s left")


@pytest.mark.parametrize(
    ("first", "then", "sentence"),
    [
        # Half of the prompt was cached.
        (
            Progress(2_000, 4_000),
            Progress(3_000, 4_000),
            "prompt 3,000 of 4,000 (75 %), 100 tok/s, about 10 s left",
        ),
        (Progress(2_000, 4_000), Progress(2_000, 4_000), "prompt 2,000 of 4,000 (50 %)"),
        (Progress(0, 0), Progress(0, 0), "prompt 0 of 0 (0 %)"),
        (Progress(0, 10), Progress(20, 10), "prompt 20 of 10 (100 %), 2 tok/s, about 0 s left"),
    ],
)
def test_sentences_of_odd_reports(first: Progress, then: Progress, sentence: str) -> None:
    reading = PromptProgress.start(first, 100.0)
    reading.update(then, 110.0)
    assert reading.describe(110.0) == sentence


def test_two_reports_at_the_same_moment_tell_no_speed() -> None:
    reading = PromptProgress.start(Progress(0, 10), 100.0)
    reading.update(Progress(5, 10), 100.0)
    assert reading.describe(100.0) == "prompt 5 of 10 (50 %)"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=100.0)
    clock.monotonic = clock.time = lambda: clock.now
    for module in (request_stats, inflight):
        monkeypatch.setattr(module, "time", clock)
    return clock


def waiting(id: str = "req_a", **known: Any) -> RequestStats:
    return RequestStats(id, "POST", CHAT, 100.0, **known)


async def test_a_line_every_ten_seconds_after_five(
    clock: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "llama-bridge")
    kept = InflightRequests(lambda: None)
    it = waiting(is_generation=True, status=200)
    kept.start(it)
    for second in range(32):
        clock.now = 100.0 + second
        if second in (1, 12):
            it.update_progress(Progress(100 * (second - 1), 4_000))
        if second == 28:
            it.add_output()
        kept.report_waiting()
    kept.finish(it)
    assert caplog.messages == [
        "req_a prompt 0 of 4,000 (0 %)",
        "req_a prompt 1,100 of 4,000 (28 %), 100 tok/s, about 26 s left",
        "req_a prompt 1,100 of 4,000 (28 %), 100 tok/s, about 16 s left",
    ]
    assert (kept.waiting_reasons(), len(kept)) == ([], 0)


async def test_the_waiting_reason_of_a_request_behind_others(clock: SimpleNamespace) -> None:
    kept = InflightRequests(lambda: "our llama-server is starting")
    reasons: list[str | None] = ["waiting for 1 running request", None]
    kept.start(it := waiting(is_generation=True, status=200, waiting_reason=lambda: reasons[0]))
    clock.now = 105.0
    assert kept.waiting_reasons() == ["waiting for 1 running request"]
    del reasons[0]
    assert kept.waiting_reasons() == ["our llama-server is starting, waited 5 s"]
    kept.finish(it)


async def test_the_waiting_reason_of_a_loading_model_and_a_silent_backend(
    clock: SimpleNamespace,
) -> None:
    reasons: list[str | None] = ["our llama-server is starting\nthe last lines of its log", None]
    kept = InflightRequests(lambda: reasons[0])
    shown: list[str] = []
    kept.show_line = shown.append
    records = [
        waiting(),
        waiting("req_b"),
        waiting("req_c", status=200),
        waiting("req_d", status=200, is_generation=True, first_output_at=101.0),
    ]
    for it in records:
        kept.start(it)
    clock.now = 104.9
    kept.report_waiting()
    assert (kept.waiting_reasons(), shown) == ([], [""])
    clock.now = 107.0
    kept.report_waiting()
    # The further lines, from the process log, are not shown.
    assert kept.waiting_reasons() == ["our llama-server is starting, waited 7 s"] * 2
    assert shown[-1] == "our llama-server is starting, waited 7 s (and 1 more)"
    reasons.pop(0)
    assert kept.waiting_reasons() == ["no response from the backend for 7 s"] * 2
    assert [row["waits"] for row in kept.snapshot()] == [
        "no response from the backend for 7 s"
    ] * 2 + [None] * 2
    assert kept.waiting_reason("req_z") is None
    for it in records:
        kept.finish(it)
    kept.finish(records[0])
    assert (shown[-1], len(kept.finished)) == ("", 4)


async def test_it_looks_by_itself_while_there_is_anything_to_look_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert (
        inflight.TICK_INTERVAL,
        inflight.REPORT_AFTER,
        inflight.REPORT_INTERVAL,
        inflight.HISTORY,
    ) == (
        1.0,
        5.0,
        10.0,
        50,
    )
    monkeypatch.setattr(inflight, "TICK_INTERVAL", 0.01)
    kept, looked = InflightRequests(lambda: None), asyncio.Event()
    kept.show_line = lambda _: looked.set()
    it = waiting()
    kept.start(it)
    for _ in range(2):
        looked.clear()
        await asyncio.wait_for(looked.wait(), HANGS)
    kept.finish(it)
    for number in range(60):
        kept.start(other := waiting(f"req_{number}"))
        kept.finish(other)
    assert [row["id"] for row in kept.finished] == [f"req_{number}" for number in range(59, 9, -1)]


READ = [
    chunk({"role": "assistant", "content": None}, prompt_progress={"total": 9, "processed": done})
    for done in (0, 4)
]


async def test_health_says_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflight, "REPORT_AFTER", 0.0)
    gate = asyncio.Event()
    script = Backend({"/v1/models": models("m"), CHAT: stream(*READ, gate, *text("a"), *END)})
    app = bridge(script, backend_kind="llama_cpp")
    call = Call(app, CHAT, QUESTION | {"stream": True})
    await call.until(lambda call: bool(call.messages))
    (sentence,) = (await ask(app, "/health")).json["waiting"]
    assert sentence.startswith("prompt ")
    gate.set()
    await call.done()
    assert (await ask(app, "/health")).json["waiting"] == []


async def told(progress: str, monkeypatch: pytest.MonkeyPatch, *, signs: int = 2) -> Call:
    monkeypatch.setattr(connection, "PING_INTERVAL", 0.02)
    reading, answering = asyncio.Event(), asyncio.Event()
    call = Road(
        stream(*READ, reading, *text("b"), answering, *END),
        backend_kind="llama_cpp",
        progress=progress,
    ).begin()
    await call.until(lambda call: len(call.messages) > signs)
    reading.set()
    await call.until(lambda call: '"content":"b"' in call.text)
    before = call.text.count(": ping")
    await call.until(lambda call: call.text.count(": ping") > before)
    answering.set()
    return await call.done()


async def test_progress_is_shown_as_reasoning(monkeypatch: pytest.MonkeyPatch) -> None:
    said = heard(await told("reasoning", monkeypatch))
    assert (said.content, said.finish) == ("b", "stop")
    lines = said.reasoning.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith("[llama-bridge] prompt 4 of 9 (44 %)") for line in lines)


async def test_by_default_no_origin_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert heard(await told("off", monkeypatch)).reasoning == ""


async def test_it_never_goes_back_to_the_model() -> None:
    road = Road(stream(ROLE, *text("a"), *END))
    ours = progress_note("prompt 1 of 2 (50 %)\nmore") + progress_note("prompt 2 of 2 (100 %)")
    history = [
        {"role": "user", "content": ours},
        {"role": "assistant", "content": "x", "reasoning_content": ours + "Hmm.\nYes."},
        {"role": "assistant", "content": "y", "reasoning": ours},
        {
            "role": "assistant",
            "content": "z",
            "reasoning_text": ours.strip(),
        },  # whitespace was stripped by the client
        {"role": "assistant", "content": ours, "reasoning_content": None},
    ]
    await road.ask(messages=history)
    assert road.script.questions()[0]["messages"] == [
        {"role": "user", "content": ours},  # user messages are not changed
        {"role": "assistant", "content": "x", "reasoning_content": "Hmm.\nYes."},
        {"role": "assistant", "content": "y"},
        {"role": "assistant", "content": "z"},
        {"role": "assistant", "content": ours},
    ]


def test_a_thought_that_only_quotes_us_stays() -> None:
    messages = [
        {"reasoning_content": "He wrote [llama-bridge] prompt 1\nand [llama-bridge] without an end"}
    ]
    strip_notes(messages)
    assert messages == [
        {"reasoning_content": "He wrote [llama-bridge] prompt 1\nand [llama-bridge] without an end"}
    ]
