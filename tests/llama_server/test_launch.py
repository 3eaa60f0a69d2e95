"""What is started: the engine that is found, its command line, its environment, a free port."""

import random
import socket
import sys
from pathlib import Path

import pytest

from proxy.llama_server import EngineMissing, LaunchSpec, find_engine
from proxy.llama_server import launch as launching
from proxy.settings import Settings


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "llama-server"
    path.touch(mode=0o755)
    return path


def test_the_engine_that_is_named(program: Path) -> None:
    assert find_engine(program, environment={}) == program
    assert find_engine("llama-server", environment={"PATH": str(program.parent)}) == program


def test_a_named_engine_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineMissing, match=r"LLAMA_SERVER: no such program: .*no-such"):
        find_engine(tmp_path / "no-such", environment={})


def test_else_the_one_on_the_path(program: Path) -> None:
    assert find_engine(environment={"PATH": str(program.parent)}) == program


def test_else_the_wheel(tmp_path: Path) -> None:
    assert find_engine(environment={"PATH": str(tmp_path)}) is None


def test_otherwise_an_error_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "WHEEL", "no_such_wheel")
    with pytest.raises(
        EngineMissing, match=r"pip install no_such_wheel.*LLAMA_SERVER.*BACKEND_URL"
    ):
        find_engine(environment={"PATH": str(tmp_path)})


def test_the_command_line_of_a_binary() -> None:
    launch = LaunchSpec(
        Path("m.gguf"), "a", Path("/bin/llama-server"), ("--ctx-size", "4096", "--jinja")
    )
    expected = (
        "/bin/llama-server -m m.gguf --alias a --host 127.0.0.1 --port 5 --ctx-size 4096 --jinja"
    )
    assert launch.command(5) == expected.split()


def test_the_command_line_of_the_wheel() -> None:
    command = LaunchSpec(Path("m.gguf"), "a").command(5)
    assert command[:2] == [sys.executable, "-P"]
    assert Path(command[2]).name == "wheel_server.py"
    assert command[3:] == ["-m", "m.gguf", "--alias", "a", "--host", "127.0.0.1", "--port", "5"]


def test_a_model_that_llama_server_fetches_itself() -> None:
    assert LaunchSpec("owner/repo:Q4", "a", Path("/s")).command(5)[1:3] == [
        "--hf-repo",
        "owner/repo:Q4",
    ]


def test_the_child_gets_its_key_and_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = [
        name.upper()
        for name, field in Settings.model_fields.items()
        if "Secret" in str(field.annotation)
    ]
    assert {"PROXY_API_KEYS", "BACKEND_API_KEY", "ZEN_API_KEY"} <= set(secrets)
    for name in secrets:
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", "5")
    environment = LaunchSpec(
        Path("m.gguf"), "a", variables=(("CUDA_VISIBLE_DEVICES", "0"), ("X", "y"))
    ).environment("key")
    assert environment["X"] == "y"
    assert "LLAMA_ARG_CTX_SIZE" not in environment
    assert environment["GGML_NO_BACKTRACE"] == "1"
    assert environment["LLAMA_API_KEY"] == "key"
    assert environment["CUDA_VISIBLE_DEVICES"] == "0"
    assert LaunchSpec(Path("m.gguf"), "a").environment("key")["CUDA_VISIBLE_DEVICES"] == "1"
    assert not environment.keys() & set(secrets)


def test_a_taken_port_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    free = launching.free_port()
    with socket.create_server((launching.HOST, 0)) as taken:
        ports = [taken.getsockname()[1], free]
        monkeypatch.setattr(random, "sample", lambda *_: ports)
        assert launching.free_port() == free
        ports.pop()
        with pytest.raises(OSError, match="no free port"):
            launching.free_port()
