"""The command in one process with the test: what it prints, and the code it ends with."""

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from proxy import __version__
from proxy.app import create_app
from proxy.cli import main, pid1
from proxy.cli import serve as serve_module
from proxy.cli.serve import Server, _banner_key
from proxy.completion.request_stats import RequestStats
from proxy.settings import Settings, load
from proxy.web.api_keys import ApiKeys
from tests.process.fake_server import Conduct

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the settings of whoever runs the tests, nor his key."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def run(*words: str) -> Any:
    with pytest.raises(SystemExit) as ended:
        main.main(words)
    return ended.value.code


def complaint(output: Output) -> str:
    """One line, on standard error, and nothing else."""
    out, err = output.readouterr()
    assert out == ""
    assert err.startswith("llama-bridge: ")
    assert err.count("\n") == 1
    return err.removeprefix("llama-bridge: ").strip()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """With which settings it would have served; it ends with 5."""
    seen: list[Settings] = []

    def serve(settings: Settings) -> int:
        seen.append(settings)
        return 5

    monkeypatch.setattr(serve_module, "serve", serve)
    return seen


@pytest.mark.parametrize("words", [(), ("serve",)])
def test_without_words_it_serves(words: tuple[str, ...], served: list[Settings]) -> None:
    assert run(*words) == 5
    assert served == [Settings()]


@pytest.mark.parametrize("words", [(), ("serve",)])
def test_flags_are_those_of_serve(
    words: tuple[str, ...], served: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROXY_PORT", "1")
    monkeypatch.setenv("BACKEND_MODEL", "m")
    assert run(*words, "--proxy-port", "2", "--thinking=off") == 5
    assert (served[0].proxy_port, served[0].backend_model, served[0].thinking) == (2, "m", "off")


def test_the_words_are_those_of_the_shell(
    served: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["llama-bridge", "--proxy-port", "3"])
    with pytest.raises(SystemExit):
        main.main()
    assert served[0].proxy_port == 3


def test_a_setting_that_cannot_be_used(served: list[Settings], capsys: Output) -> None:
    assert run("--proxy-port", "eighty") == 2
    assert complaint(capsys).startswith("PROXY_PORT: Input should be a valid integer")
    assert served == []


@pytest.mark.parametrize("words", [("dance",), ("--proxy-port",), ("parse", "--thinking", "hard")])
def test_words_that_it_does_not_know(words: tuple[str, ...], capsys: Output) -> None:
    assert run(*words) == 2
    assert "usage: llama-bridge" in capsys.readouterr().err


def test_its_version(capsys: Output) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"llama-bridge {__version__}\n"


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_its_help_names_the_commands(word: str, capsys: Output) -> None:
    assert run(word) == 0
    out = capsys.readouterr().out
    assert all(f"    {command} " in out for command in ("serve", "parse", "key"))


def test_a_port_that_another_has(capsys: Output) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert run("--backend-url", "http://127.0.0.1:9", "--proxy-port", str(port)) == 2
    said = complaint(capsys)
    assert said == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; "
        f"stop the other program, or set PROXY_PORT to another port"
    )


def test_an_address_that_is_not_ours(capsys: Output) -> None:
    assert (
        run(
            "--backend-url",
            "http://127.0.0.1:9",
            "--proxy-host",
            "192.0.2.1",
            "--proxy-api-keys",
            "k",
            "--proxy-port",
            "0",
        )
        == 2
    )
    said = complaint(capsys)
    assert said.startswith("cannot listen on 192.0.2.1:0: ")
    assert said.endswith("; set PROXY_HOST to an address of this machine")


@pytest.mark.parametrize(
    ("host", "family"),
    [("::1", socket.AF_INET6), ("127.0.0.1", socket.AF_INET), ("localhost", socket.AF_INET)],
)
def test_it_listens_on_the_configured_address(
    host: str, family: int, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    asked: list[tuple[object, object]] = []

    def create_server(address: tuple[str, int], *, family: int, backlog: int) -> socket.socket:
        asked.append((address, family))
        raise OSError(97, "Address family not supported")  # as on a machine without IPv6

    monkeypatch.setattr(socket, "create_server", create_server)
    assert run("--backend-url", "http://127.0.0.1:9", "--proxy-host", host) == 2
    assert asked == [((host, 8081), family)]
    assert complaint(capsys).startswith(
        f"cannot listen on {host}:8081: Address family not supported"
    )


def test_an_engine_that_is_not_there(capsys: Output) -> None:
    assert run("--llama-server", "/no/such/llama-server") == 2
    assert complaint(capsys).startswith("LLAMA_SERVER: no such program: /no/such/llama-server; ")


def test_a_key_that_cannot_be_kept(capsys: Output, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a file where a folder should be")
    for words in (("key",), ("--backend-url", "http://127.0.0.1:9", "--proxy-host", "0.0.0.0")):
        assert run(*words) == 2
        assert complaint(capsys) == f"{tmp_path}/config/llama-bridge/key: Not a directory"


def test_a_key_that_cannot_be_read(capsys: Output, tmp_path: Path) -> None:
    # Root reads every file, but no folder.
    (tmp_path / "config/llama-bridge/key").mkdir(parents=True)
    for words in (("key",), ("--backend-url", "http://127.0.0.1:9", "--proxy-host", "0.0.0.0")):
        assert run(*words) == 2
        assert complaint(capsys) == f"{tmp_path}/config/llama-bridge/key: Is a directory"


def test_the_key_is_shown_and_replaced(capsys: Output, tmp_path: Path) -> None:
    keys = []
    for words in (("key",), ("key",), ("key", "--new"), ("key",)):
        assert run(*words) == 0
        keys.append(capsys.readouterr().out)
    first, again, new, kept = keys
    assert first == again != new == kept
    assert (tmp_path / "config/llama-bridge/key").read_text() == kept


@pytest.mark.parametrize(
    ("words", "command", "unknown"),
    [
        (["serve", "--prot", "1"], "serve", "arguments: --prot 1"),
        (["--prot"], "serve", "argument: --prot"),
        (["key", "--old"], "key", "argument: --old"),
    ],
)
def test_a_word_that_a_command_does_not_know(
    words: list[str], command: str, unknown: str, capsys: Output
) -> None:
    assert run(*words) == 2
    assert complaint(capsys) == f"unrecognized {unknown} (see `llama-bridge {command} --help`)"


def test_an_engine_found_by_its_name_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Output
) -> None:
    Conduct().script(tmp_path / "llama-server")
    monkeypatch.setenv("PATH", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert (
            run("--llama-server", "llama-server", "--proxy-port", str(other.getsockname()[1])) == 2
        )
    assert complaint(capsys).startswith("cannot listen on")  # it has come past the engine


def test_as_the_first_process_of_a_container_it_steps_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stepped: list[bool] = []
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(pid1, "fork_child", lambda: stepped.append(True))
    monkeypatch.setenv("PROXY_PORT", "no number")
    with pytest.raises(SystemExit):
        main.main(["serve"])
    assert stepped == [True]


def test_it_ends_well_when_it_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here as well as in a process of its own, whose last lines nobody sees."""

    def run(self: Server, sockets: list[socket.socket]) -> None:
        sockets[0].close()
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "run", run)
    monkeypatch.setattr(signal, "signal", lambda number, _: number)
    assert (
        serve_module.serve(load({"BACKEND_URL": "http://127.0.0.1:9/v1", "PROXY_PORT": "0"})) == 0
    )


async def test_who_waits_is_shown_before_the_model_that_loads() -> None:
    """The seconds of a load are shown in the terminal only while no request is shown there."""
    bridge = create_app(load({"BACKEND_URL": "http://127.0.0.1:9/v1"}))
    ledger, shown = bridge.app_state.inflight, list[str]()
    ledger.show_line = shown.append
    with socket.socket() as listener:
        server = Server(bridge, listener)
        server._show("starting, 1 s")
        ledger.start(record := RequestStats("req_a", "POST", "/v1/chat/completions"))
        server._show("starting, 2 s")
        ledger.finish(record)
        server._show("starting, 3 s")
    assert [line for line in shown if line] == ["starting, 1 s", "starting, 3 s"]


def test_keys_that_were_given_are_the_ones_that_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: Output, tmp_path: Path
) -> None:
    monkeypatch.setenv("PROXY_API_KEYS", "one, two")
    assert run("key") == 0
    assert capsys.readouterr().out == "one\ntwo\n"
    assert run("key", "--new") == 2
    assert complaint(capsys) == "the keys come from PROXY_API_KEYS; change them there"
    monkeypatch.setenv("PROXY_API_KEYS", "none")
    assert run("key") == 2
    assert complaint(capsys) == "authentication is disabled by PROXY_API_KEYS=none"
    monkeypatch.setenv("PROXY_API_KEYS", "@/no/such/file")
    assert run("key") == 2
    assert (
        complaint(capsys) == "PROXY_API_KEYS: cannot read /no/such/file: No such file or directory"
    )
    assert not (tmp_path / "config").exists()


def test_a_key_file_that_is_no_text(capsys: Output, tmp_path: Path) -> None:
    kept = tmp_path / "config/llama-bridge/key"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"\xff\xfe")
    for words in (("key",), ("--backend-url", "http://127.0.0.1:9", "--proxy-host", "0.0.0.0")):
        assert run(*words) == 2
        assert complaint(capsys).startswith(f"{kept} is not a text file; ")


def test_which_key_the_banner_shows() -> None:
    assert (
        _banner_key(ApiKeys()),
        _banner_key(ApiKeys(("given",))),
        _banner_key(ApiKeys(("made",), Path("/k"))),
    ) == (
        None,
        "YOUR-KEY",
        "made",
    )
