"""The log: lines out of a pipe, the last of them, and the facts in them."""

import os

import anyio
import anyio.lowlevel
import pytest

from proxy.llama_server.process.logs import (
    KEPT_LINES,
    LINE_LIMIT,
    RING_LINES,
    TAIL_LINES,
    EngineInfo,
    LineReader,
    LogRing,
    ProcessLog,
    error_lines,
)
from tests.patience import HANGS


def facts(*lines: str) -> EngineInfo:
    log = ProcessLog(lambda line: None)
    for line in lines:
        log.add(line)
    return log.engine_info


@pytest.mark.parametrize(
    ("lines", "device", "on_cpu"),
    [
        (["  - CPU     : Intel(R) Xeon(R) Processor (24105 MiB, 24105 MiB free)"], "CPU", True),
        (
            [
                "  - CPU : x (1 MiB, 1 MiB free)",
                "  - CUDA0 : NVIDIA GeForce RTX 3090 (24106 MiB, 23000 MiB free)",
            ],
            "CUDA0",
            False,
        ),
        (
            [
                "  - CUDA0 : a (1 MiB, 1 MiB free)",
                "  - CUDA1 : b (1 MiB, 1 MiB free)",
                "  - CPU : x (1 MiB, 1 MiB free)",
            ],
            "CUDA0",
            False,
        ),
        (
            ["  - BLAS : OpenBLAS (0 MiB, 0 MiB free)", "  - CPU : x (1 MiB, 1 MiB free)"],
            "CPU",
            True,
        ),
        (
            [
                (
                    "0.00.1 I llama_model_load_from_file_impl: using device CUDA0 (NVIDIA RTX "
                    "(laptop)) (0000:01:00.0) - 23000 MiB free"
                )
            ],
            "CUDA0",
            False,
        ),
        (["load_tensors: offloaded 0/33 layers to GPU"], None, True),
        (["load_tensors: offloaded 33/33 layers to GPU"], None, False),
        (["main: server is listening"], None, False),
    ],
)
def test_the_device(lines: list[str], device: str | None, on_cpu: bool) -> None:
    assert facts(*lines).device == device
    assert facts(*lines).on_cpu is on_cpu


def test_the_layers() -> None:
    found = facts("load_tensors: offloaded 20/33 layers to GPU")
    assert (found.offloaded, found.layers) == (20, 33)


def test_only_the_last_lines_are_kept_and_fewer_are_shown() -> None:
    heard: list[str] = []
    log = ProcessLog(heard.append)
    for number in range(1000):
        log.add(str(number))
    assert len(heard) == 1000
    assert len(log.lines) == KEPT_LINES
    assert log.tail == [str(number) for number in range(1000 - TAIL_LINES, 1000)]


async def test_a_pipe_as_lines_however_it_is_cut() -> None:
    read, write = os.pipe()
    heard: list[str] = []
    lines = LineReader(os.fdopen(read, "rb"), heard.append)
    for piece in (b"one\ntw", b"o\r\n\n\xff", b"!\n" + b"x" * 10, b"y"):
        os.write(write, piece)
        await anyio.lowlevel.checkpoint()
    os.close(write)
    with anyio.fail_after(HANGS):
        await lines.ended.wait()
    assert heard == ["one", "two", "", "�!", "xxxxxxxxxxy"]
    lines.close()  # twice does no harm


async def test_a_line_without_an_end_is_cut() -> None:
    read, write = os.pipe()
    heard: list[str] = []
    lines = LineReader(os.fdopen(read, "rb"), heard.append)
    with os.fdopen(write, "wb", buffering=0) as out:
        for _ in range(4):
            await anyio.to_thread.run_sync(out.write, b"x" * LINE_LIMIT)
    with anyio.fail_after(HANGS):
        await lines.ended.wait()
    assert len(heard) > 1
    assert sum(map(len, heard)) == 4 * LINE_LIMIT


def test_where_it_runs_in_words() -> None:
    told = facts(
        "  - CUDA0 : NVIDIA GeForce RTX 3060 (12288 MiB, 11000 MiB free)",
        "load_tensors: offloaded 26/33 layers to GPU",
        "load_tensors:   CPU_Mapped model buffer size =  1000.50 MiB",
        "load_tensors:        CUDA0 model buffer size =  7000.00 MiB",
        "llama_kv_cache:      CUDA0 KV buffer size =  1000.00 MiB",
        "sched_reserve:      CUDA0 compute buffer size =   300.25 MiB",
    )
    assert (told.memory, told.offloaded, told.layers) == (9300.75, 26, 33)
    assert told.summary == "CUDA0, 26 of 33 layers on the GPU, 9,301 MiB (8,300 MiB on the GPU)"
    none = facts(
        "  - CUDA0 : x (1 MiB, 1 MiB free)",
        "load_tensors: offloaded 0/33 layers to GPU",
        "x:  CUDA_Host  output buffer size = 1.00 MiB",
    )
    assert none.summary == "CPU, 0 of 33 layers on the GPU, 1 MiB"
    assert (
        EngineInfo(device="CPU", context=32768, slots=4).summary == "CPU, context 32,768 in 4 slots"
    )
    assert EngineInfo().summary == "device unknown"
    assert facts("warning: no usable GPU found, --gpu-layers option will be ignored").layers_ignored


async def test_a_follower_gets_the_kept_and_the_new_lines() -> None:
    ring = LogRing()
    ring.add("before")
    lines = ring.follow()
    assert await anext(lines) == "before"
    for number in range(RING_LINES + 5):  # more than a slow reader may miss
        ring.add(str(number))
    assert await anext(lines) == "5"
    await lines.aclose()
    ring.add("after")
    assert ring.lines[-1] == "after"
    assert len(ring.lines) == RING_LINES


def test_an_error_shows_what_failed_and_not_what_worked() -> None:
    well = ["0.00.002.058 I srv          init: loading model", "0.00.002.060 D srv   more"]
    wrong = [
        "0.00.002.151 E gguf_init_from_file: failed to open",
        "0.00.2 W x",
        "ggml_abort: GGML_ASSERT(n > 0) failed",
        "error: 1.2 I am told",
    ]
    assert error_lines([*well, *wrong]) == wrong
    assert error_lines(well) == well
    assert error_lines([]) == []
