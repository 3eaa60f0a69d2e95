"""The supervisor against children that start late, crash and come again; and against requests
that come at any time.
"""

import asyncio
import logging
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvloop

from proxy.errors import ChildFailed, ModelLoading, ShuttingDown
from proxy.llama_server import EngineInfo, LaunchSpec, ProcessState, Supervisor, Timeouts
from proxy.llama_server.process import gpu_check, supervisor
from proxy.llama_server.process.state import ProcessEvent
from tests.patience import HANGS, until
from tests.process.conftest import FAST, Fake, nothing_left
from tests.process.fake_server import starts

SLOW_FAIL = Timeouts(wait=20, failed=30, backoff=0.01)


def count(supervisor: Supervisor) -> int:
    assert supervisor.launch.engine
    return len(starts(supervisor.launch.engine))


async def test_requests_wait_for_a_start_and_share_it(fake: Fake) -> None:
    async with fake(loading=3) as supervisor:
        assert supervisor.state is not ProcessState.READY  # starting blocks nobody
        addresses = await asyncio.gather(*(supervisor.ensure_ready() for _ in range(20)))
        assert len(set(addresses)) == 1
        assert count(supervisor) == 1
        assert supervisor.launch.engine
        assert supervisor.pid == starts(supervisor.launch.engine)[0]
        assert supervisor.engine_info.context == 32768
    assert supervisor.state is ProcessState.STOPPED
    assert supervisor.pid is None


async def test_the_first_request_starts_it(fake: Fake) -> None:
    supervisor = fake()
    await supervisor.ensure_ready()
    await supervisor.stop()
    assert supervisor.state is ProcessState.STOPPED
    await supervisor.ensure_ready()
    assert count(supervisor) == 2
    await supervisor.stop()
    await supervisor.stop()
    await nothing_left(supervisor.process_group)


async def test_it_can_be_stopped_before_it_ever_started_and_while_it_starts(fake: Fake) -> None:
    supervisor = fake(hangs=True)
    await supervisor.stop()
    await supervisor.start()
    await until(lambda: count(supervisor))
    await asyncio.gather(supervisor.stop(), supervisor.stop())
    assert supervisor.state is ProcessState.STOPPED
    await nothing_left(supervisor.process_group)


async def test_a_request_that_waits_when_it_is_stopped_starts_it_again(fake: Fake) -> None:
    supervisor = fake(hangs=True, misbehaves=1)
    request = asyncio.create_task(supervisor.ensure_ready())
    await until(lambda: count(supervisor))
    await supervisor.stop()
    await request
    assert count(supervisor) == 2
    await supervisor.stop()


async def test_after_close_it_is_not_started_again(fake: Fake) -> None:
    async with fake(hangs=True) as supervisor:
        request = asyncio.create_task(supervisor.ensure_ready())
        await until(lambda: count(supervisor))
    with pytest.raises(ShuttingDown):
        await request
    with pytest.raises(ShuttingDown):
        await supervisor.ensure_ready()
    assert count(supervisor) == 1


async def test_waiting_is_bounded(fake: Fake) -> None:
    async with fake(hangs=True, timings=Timeouts(wait=0.2)) as supervisor:
        with pytest.raises(ModelLoading, match=r"fake is still starting after 0\.2 s"):
            await supervisor.ensure_ready()


async def test_two_early_exits_are_tolerated(fake: Fake) -> None:
    async with fake(dies_by=signal.SIGKILL, misbehaves=2) as supervisor:
        await supervisor.ensure_ready()
        assert count(supervisor) == 3
        assert supervisor.history.early_exits == 0


@pytest.mark.parametrize(
    ("conduct", "reason"),
    [
        ({"exits": 1, "says": ["cudaMalloc failed: out of memory"]}, "out of GPU memory"),
        ({"exits": 1, "says": ["error: invalid argument: --bogus"]}, "bad flag --bogus"),
        ({"exits": 1, "says": ["couldn't bind HTTP server socket"]}, "port in use"),
        ({"exits": 0, "says": [f"line {n}" for n in range(99)]}, "ended with code 0: line 98"),
        ({"dies_by": signal.SIGKILL}, "killed by SIGKILL"),
        ({"dies_by": signal.SIGTERM}, "killed by SIGTERM"),
    ],
)
async def test_the_third_early_death_is_final_whatever_the_signal(
    fake: Fake, conduct: dict[str, Any], reason: str
) -> None:
    async with fake(timings=SLOW_FAIL, **conduct) as supervisor:
        with pytest.raises(ChildFailed) as failed:
            await supervisor.ensure_ready()
        assert count(supervisor) == 3
        assert supervisor.state is ProcessState.FAILED
        assert supervisor.reason.startswith(reason)
        assert supervisor.reason in failed.value.message
        assert failed.value.status == 503
        assert failed.value.message.splitlines()[2:] == supervisor.log.tail
        assert len(supervisor.log.tail) <= 50
        with pytest.raises(ChildFailed):  # at once, and without another start
            await supervisor.ensure_ready()
        await supervisor.start()
        assert count(supervisor) == 3


async def test_when_failed_has_lasted_long_enough_one_request_may_try_once(fake: Fake) -> None:
    async with fake(exits=1, misbehaves=4) as supervisor:
        with pytest.raises(ChildFailed):
            await supervisor.ensure_ready()
        assert count(supervisor) == 3
        await until(lambda: supervisor._retry_allowed)
        assert count(supervisor) == 3  # not by itself
        with pytest.raises(ChildFailed):
            await supervisor.ensure_ready()
        assert count(supervisor) == 4
        await until(lambda: supervisor._retry_allowed)
        await supervisor.ensure_ready()
        assert count(supervisor) == 5


async def test_an_engine_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    launch = LaunchSpec("owner/m", "none", engine=tmp_path / "no-such")
    async with Supervisor(launch, timeouts=FAST) as supervisor:
        with pytest.raises(ChildFailed, match=f"No such file or directory: {launch.engine}"):
            await supervisor.ensure_ready()


async def test_a_machine_that_starts_no_process_is_named(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> int:
        raise OSError("No free port found")

    monkeypatch.setattr(supervisor, "free_port", fails)
    async with fake() as it:
        with pytest.raises(ChildFailed, match="cannot start a process: No free port found"):
            await it.ensure_ready()
    assert it.pid is None


async def test_ready_but_never_an_answer_rests_longer_each_time(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[tuple[ProcessState, int]] = []
    write = Supervisor._transition

    def note(self: Supervisor, happening: ProcessEvent, reason: str = "") -> None:
        write(self, happening, reason)
        states.append((self.state, self.history.idle_exits))

    monkeypatch.setattr(Supervisor, "_transition", note)
    async with fake(answers=1, misbehaves=3) as supervisor:
        await until(lambda: count(supervisor) == 4)
        await supervisor.ensure_ready()
    assert [deaths for state, deaths in states if state is ProcessState.BACKOFF] == [1, 2, 3]


async def test_requests_wait_while_it_rests(fake: Fake) -> None:
    async with fake(answers=1, misbehaves=1, timings=Timeouts(backoff=0.3)) as supervisor:
        await until(lambda: supervisor.state is ProcessState.BACKOFF)
        await supervisor.ensure_ready()
        assert count(supervisor) == 2


async def test_a_rest_can_be_stopped(fake: Fake) -> None:
    async with fake(answers=1, timings=Timeouts(backoff=600)) as supervisor:
        await until(lambda: supervisor.state is ProcessState.BACKOFF)
        assert supervisor.reason.startswith("ended with code 7")
    assert supervisor.state is ProcessState.STOPPED


async def test_after_a_finished_answer_it_starts_again_at_once(fake: Fake) -> None:
    async with fake(timings=Timeouts(backoff=600)) as supervisor:
        for life in range(1, 5):
            before = await supervisor.ensure_ready()
            supervisor.record_answer()
            assert supervisor.pid
            os.kill(supervisor.pid, signal.SIGKILL)
            await until(partial(lambda lives: count(supervisor) == lives, life + 1))
            after = await supervisor.ensure_ready()
            assert before.key != after.key


async def test_who_is_refused_before_the_death_is_known_waits_for_the_next_child(
    fake: Fake,
) -> None:
    async with fake() as supervisor:
        before = await supervisor.ensure_ready()
        supervisor.record_answer()
        assert supervisor.pid
        os.kill(supervisor.pid, signal.SIGKILL)
        assert await supervisor.ensure_ready() == before  # nobody has told us yet
        await supervisor.wait_exit_noticed(before.url)
        after = await supervisor.ensure_ready()
        assert before.key != after.key
        await supervisor.wait_exit_noticed(before.url)
        assert await supervisor.ensure_ready() == after
        assert count(supervisor) == 2


async def test_the_number_of_a_group_that_is_gone_may_belong_to_others(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fake() as supervisor:
        await supervisor.ensure_ready()
        child = supervisor._process
        assert child
    killed: list[object] = []
    monkeypatch.setattr(os, "killpg", lambda *group: killed.append(group))
    child._kill_group()
    assert killed == []


async def test_a_refused_connection_to_a_live_process_does_not_wait_forever(fake: Fake) -> None:
    async with fake(timings=Timeouts(grace=0.1)) as supervisor:
        before = await supervisor.ensure_ready()
        await asyncio.wait_for(supervisor.wait_exit_noticed(before.url), HANGS)
        assert await supervisor.ensure_ready() == before


@pytest.mark.parametrize(
    ("device", "gpu", "warned"),
    [
        ("CPU", "an NVIDIA GPU", True),
        ("CPU", None, False),
        ("CUDA0", "an NVIDIA GPU", False),
        (None, "an NVIDIA GPU", False),
    ],
)
async def test_the_loud_warning(
    fake: Fake,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    device: str | None,
    gpu: str | None,
    warned: bool,
) -> None:
    monkeypatch.setattr(gpu_check, "visible_gpu", lambda: gpu)
    async with fake(says=[f"- {device} : x (1 MiB, 1 MiB free)"] if device else []) as it:
        await it.ensure_ready()
        assert (
            "This machine has an NVIDIA GPU, but the engine runs on the CPU" in caplog.text
        ) is warned
        assert (it.warning is not None) is warned


async def test_a_missing_file_is_one_clear_line_and_starts_no_process(
    fake: Fake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    it = fake(timings=SLOW_FAIL)
    it.launch = replace(it.launch, model=tmp_path / "gone.gguf")
    async with it:
        with pytest.raises(ChildFailed) as refused:
            await it.ensure_ready()
        assert (
            refused.value.message
            == f"{it.launch.alias} could not be started: no such file: {tmp_path}/gone.gguf"
        )
        assert count(it) == 0
    assert [record.message for record in caplog.records] == [
        f"{it.launch.alias} has failed: no such file: {tmp_path}/gone.gguf"
    ]


async def test_a_loop_that_goes_away_takes_the_child_with_it(fake: Fake) -> None:
    it = fake()
    await asyncio.to_thread(asyncio.run, it.ensure_ready())
    assert it.state is ProcessState.STOPPED
    await nothing_left(it.process_group)
    await it.stop()
    await serve(it)


async def test_an_internal_error_leaves_no_request_waiting(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting = Supervisor._run_start

    async def broken(self: Supervisor) -> tuple[ProcessEvent, str]:
        monkeypatch.setattr(Supervisor, "_run_start", starting)
        raise LookupError("a defect")

    monkeypatch.setattr(Supervisor, "_run_start", broken)
    async with fake() as it:
        first = it._task
        await it.ensure_ready()
        assert first
        assert isinstance(first.exception(), LookupError)


async def serve(supervisor: Supervisor) -> None:
    async with supervisor:
        await supervisor.ensure_ready()
    await nothing_left(supervisor.process_group)


def test_it_runs_in_the_serving_loop(fake: Fake) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(fake()))


def test_it_can_live_in_one_loop_after_the_other(fake: Fake) -> None:
    it = fake()
    # Python 3.11 does not trace a frame any more once a task was cancelled below it.
    with ThreadPoolExecutor() as threads:
        for _ in range(2):
            threads.submit(asyncio.run, serve(it)).result(20)
    assert count(it) == 2


async def test_its_lines_are_passed_on_as_they_arrive(fake: Fake) -> None:
    heard: list[str] = []
    async with fake(on_line=heard.append, says=["hello"]) as supervisor:
        await supervisor.ensure_ready()
        with anyio.fail_after(HANGS):
            await until(lambda: "hello" in heard)
        assert "hello" in supervisor.log.tail


NO_GPU = "warning: no usable GPU found, --gpu-layers option will be ignored"
NONE_OFFLOADED, ALL_OFFLOADED = (
    "load_tensors: offloaded 0/33 layers to GPU",
    "load_tensors: offloaded 33/33 layers to GPU",
)
ON_CPU = "- CPU : x (1 MiB, 1 MiB free)"
ON_CUDA = "- CUDA0 : x (1 MiB, 1 MiB free)"
BINARY, FROM_WHEEL = Path("/s"), None


@pytest.mark.parametrize(
    ("gpu", "engine", "flags", "required", "says", "problem"),
    [
        (
            None,
            BINARY,
            ("--n-gpu-layers", "26"),
            False,
            [NONE_OFFLOADED],
            "but none was offloaded: the engine runs on the CPU",
        ),
        (
            None,
            BINARY,
            ("--n-gpu-layers", "26"),
            False,
            [NONE_OFFLOADED],
            "`/s --list-devices` shows its devices",
        ),
        (
            None,
            FROM_WHEEL,
            ("--temp", "0", "-ngl", "all"),
            False,
            [ON_CPU],
            "but none was offloaded: the engine runs on the CPU",
        ),
        (
            None,
            FROM_WHEEL,
            ("--n-gpu-layers", "26"),
            False,
            [ON_CPU],
            "Set LLAMA_SERVER to a llama-server built for the GPU",
        ),
        (None, FROM_WHEEL, (), False, [ON_CPU], None),
        (None, FROM_WHEEL, ("--gpu-layers", "0"), False, [ON_CPU], None),
        (None, FROM_WHEEL, ("--gpu-layers", "auto"), False, [ON_CPU], None),
        (None, FROM_WHEEL, (), True, [ON_CPU], "A GPU is required: the engine runs on the CPU"),
        (None, BINARY, (), False, [NONE_OFFLOADED], None),
        (None, BINARY, (), True, [NONE_OFFLOADED], "A GPU is required: the engine runs on the CPU"),
        (None, BINARY, ("--gpu-layers", "all"), True, [ALL_OFFLOADED], None),
        (None, BINARY, (), False, [NO_GPU], "but none was offloaded: the engine runs on the CPU"),
        (
            None,
            BINARY,
            ("--gpu-layers", "0"),
            True,
            [NONE_OFFLOADED],
            "A GPU is required, but `n-gpu-layers = 0` keeps",
        ),
        (
            "an NVIDIA GPU (x)",
            BINARY,
            ("-ngl", "0"),
            False,
            [ON_CUDA, NONE_OFFLOADED],
            "(x), but `n-gpu-layers = 0` keeps the model",
        ),
        (
            "an NVIDIA GPU (x)",
            BINARY,
            (),
            False,
            [ON_CPU],
            "This machine has an NVIDIA GPU (x), but the engine runs on the CPU",
        ),
        (
            "an NVIDIA GPU (x)",
            FROM_WHEEL,
            (),
            False,
            [ON_CPU],
            " -m pip install --force-reinstall --no-deps --index-url https://",
        ),
        (
            "an NVIDIA GPU (x)",
            FROM_WHEEL,
            (),
            False,
            [ON_CPU],
            "/xllamacpp/whl/cu128 xllamacpp==20",
        ),
        ("an AMD GPU (x)", FROM_WHEEL, (), False, [ON_CPU], "/xllamacpp/whl/vulkan xllamacpp==20"),
        ("an Apple GPU", FROM_WHEEL, (), False, [ON_CPU], "macOS: `brew install llama.cpp`"),
        ("an NVIDIA GPU (x)", BINARY, (), True, [ON_CUDA, ALL_OFFLOADED], None),
    ],
)
def test_a_model_that_does_not_run_on_the_gpu(
    gpu: str | None,
    engine: Path | None,
    flags: tuple[str, ...],
    required: bool,
    says: list[str],
    problem: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gpu_check, "visible_gpu", lambda: gpu)
    facts = EngineInfo()
    for line in says:
        facts = facts.with_line(line)
    found = gpu_check.gpu_problem(
        LaunchSpec(Path("m"), "m", engine, flags), facts, required=required
    )
    assert (found is None) is (problem is None)
    assert problem is None or problem in str(found)


@pytest.mark.parametrize(("context", "warned"), [(None, False), (16384, False), (8192, True)])
def test_a_context_that_is_too_small_for_an_agent(context: int | None, warned: bool) -> None:
    assert (gpu_check.small_context_warning("m", context) is not None) is warned


@pytest.fixture
def gpu_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_check, "visible_gpu", lambda: "an NVIDIA GPU")


async def test_where_a_gpu_is_required_the_cpu_is_no_answer(fake: Fake, gpu_unused: None) -> None:
    async with fake(says=[ON_CPU], timings=SLOW_FAIL) as it:
        it._require_gpu = True
        with pytest.raises(
            ChildFailed,
            match="require-gpu: This machine has an NVIDIA GPU, but the engine runs on the CPU",
        ):
            await it.ensure_ready()
        assert count(it) == 3
        await nothing_left(it.process_group)


async def test_where_a_gpu_is_required_it_is_required_right_after_the_boot_too(
    fake: Fake, gpu_unused: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "uptime_seconds", lambda: 20.0)
    async with fake(says=[ON_CPU], timings=SLOW_FAIL) as it:
        it._require_gpu = True
        with pytest.raises(ChildFailed, match="require-gpu"):
            await it.ensure_ready()


@pytest.mark.parametrize(("busy", "starts"), [(False, 2), (True, 1)])
async def test_right_after_the_boot_the_gpu_is_looked_for_once_more(
    fake: Fake,
    gpu_unused: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    busy: bool,
    starts: int,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(supervisor, "uptime_seconds", lambda: 20.0)
    async with fake(says=[ON_CPU], timings=replace(FAST, gpu_recheck=0.05)) as it:
        it._busy = lambda: busy
        await it.ensure_ready()
        await until(lambda: it._gpu_rechecked and count(it) == starts)
        await it.ensure_ready()
        assert count(it) == starts
        assert ("checking for the GPU again" in caplog.text) is not busy


async def test_a_child_that_dies_before_the_second_look(
    fake: Fake, gpu_unused: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "uptime_seconds", lambda: 20.0)
    async with fake(
        says=[ON_CPU], answers=1, misbehaves=1, timings=replace(FAST, gpu_recheck=60)
    ) as it:
        await until(lambda: count(it) == 2)
        await it.ensure_ready()
