"""Is a graphics card there: device nodes in a directory of ours."""

from pathlib import Path

import pytest

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
