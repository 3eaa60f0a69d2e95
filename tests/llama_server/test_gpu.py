"""Is a graphics card there: device nodes in a directory of ours."""

from pathlib import Path

import pytest

from proxy.llama_server import gpu
from proxy.llama_server.gpu import visible_gpu


@pytest.mark.parametrize(
    ("nodes", "name"),
    [
        ([], None),
        (["nvidia-modeset", "null"], None),
        (["nvidia0"], "an NVIDIA GPU"),
        (["kfd", "dri/renderD128"], "an AMD GPU"),
        (["dri/renderD128"], "a GPU"),
        (["dri/card0"], None),
        (["dxg"], "a GPU (WSL2)"),
    ],
)
def test_by_its_node(tmp_path: Path, nodes: list[str], name: str | None) -> None:
    for node in nodes:
        (tmp_path / node).parent.mkdir(exist_ok=True)
        (tmp_path / node).touch()
    found = visible_gpu(tmp_path, "Linux x86_64")
    assert found == (f"{name} ({tmp_path / nodes[0]})" if name else None)


def test_every_mac_of_today_has_one(tmp_path: Path) -> None:
    assert visible_gpu(tmp_path, "Darwin arm64") == "an Apple GPU"


def test_this_machine_is_asked_without_arguments() -> None:
    assert visible_gpu() == visible_gpu(Path("/dev"))


def tool(path: Path, name: str, *answers: str) -> None:
    """A program that tells the next of these answers each time it is asked, and the last one for
    ever.
    """
    program = path / name
    for number, answer in enumerate(answers):
        (path / f"{name}.{number}").write_text(answer)
    last = len(answers) - 1
    program.write_text(
        f"#!/bin/sh\nn=$(/bin/cat {path}/count 2>/dev/null || echo 0)\n"
        f"echo $((n + 1)) > {path}/count\n"
        f"[ $n -gt {last} ] && n={last}\n. {path}/{name}.$n\n"
    )
    program.chmod(0o755)


def asked(path: Path) -> int:
    return int((path / "count").read_text())


async def test_without_a_tool_there_is_nothing_to_wait_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert await gpu.used_memory() is None
    await gpu.wait_memory_settled()


async def test_memory_is_waited_for_until_it_falls_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpu, "_POLL_INTERVAL", 0.001)
    tool(tmp_path, "nvidia-smi", "echo 9000; echo 20", "echo 4000; echo 20", "echo 300; echo 20")
    await gpu.wait_memory_settled()
    assert asked(tmp_path) == 4
    assert await gpu.used_memory() == 320


async def test_a_driver_that_never_gives_it_back_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpu, "_MAX_WAIT", 0.0)
    tool(
        tmp_path,
        "rocm-smi",
        "echo device,VRAM Total Memory,VRAM Total Used; echo card0,17163091968,12345",
    )
    await gpu.wait_memory_settled()
    assert asked(tmp_path) == 1
    assert await gpu.used_memory() == 12345


@pytest.mark.parametrize("answer", ["echo no devices", "exit 1", "exec /bin/sleep 60"])
async def test_a_tool_that_does_not_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpu, "_TOOL_TIMEOUT", 0.3)
    tool(tmp_path, "nvidia-smi", answer)
    assert await gpu.used_memory() is None


async def test_a_tool_that_cannot_be_started_or_stops_telling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    tool(tmp_path, "nvidia-smi", "echo 5", "exit 1")
    await gpu.wait_memory_settled()
    assert asked(tmp_path) == 2
    (tmp_path / "nvidia-smi").write_text("#!/no/such/shell\n")
    assert await gpu.used_memory() is None


def test_since_when_the_machine_runs(tmp_path: Path) -> None:
    uptime = tmp_path / "uptime"
    assert gpu.uptime_seconds(uptime) == float("inf")
    for text, seconds in (("12.5 99", 12.5), ("", float("inf")), ("x", float("inf"))):
        uptime.write_text(text)
        assert gpu.uptime_seconds(uptime) == seconds
    assert gpu.uptime_seconds() > 0
