"""Commands that query a running llama-bridge."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy import admin_client
from proxy.admin_client import NotRunning
from proxy.cli import main
from proxy.settings import Settings, load


class Running(httpx.MockTransport):
    def __init__(self, answer: httpx.Response | Exception) -> None:
        self.asked: list[httpx.Request] = []
        self.answer = answer
        super().__init__(self._handle)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


REFUSED = httpx.Response(400, json={"error": {"message": "c.conf:3: nonsense"}})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "said"),
    [([], "reloaded; nothing changed"), (["a", "b"], "reloaded; changed: a, b")],
)
def test_reload(changed: list[str], said: str) -> None:
    running = Running(httpx.Response(200, json={"changed": changed}))
    assert admin_client.reload(Settings(proxy_port=5), running) == said
    (request,) = running.asked
    assert (request.method, str(request.url)) == ("POST", "http://127.0.0.1:5/reload")
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (REFUSED, r"^c\.conf:3: nonsense$"),
        (httpx.Response(500, text="x"), "^unexpected status 500$"),
        (httpx.Response(500, json=[]), "^unexpected status 500$"),
        (
            httpx.ConnectError("[Errno 111] Connection refused"),
            r"no llama-bridge at http://127\.0\.0\.1:8081: Connection refused; is it running",
        ),
        (
            httpx.ConnectError("refused"),
            (
                r"^no llama-bridge at http://127\.0\.0\.1:8081: "
                r"refused; is it running, and is PROXY_PORT right\?$"
            ),
        ),
    ],
)
def test_what_is_wrong_is_reported(answer: httpx.Response | Exception, said: str) -> None:
    with pytest.raises(NotRunning, match=said):
        admin_client.reload(Settings(), Running(answer))
    with pytest.raises(NotRunning, match=said):
        admin_client.logs(Settings(), "", print, follow=True, transport=Running(answer))


def test_logs() -> None:
    told: list[str] = []
    running = Running(httpx.Response(200, text="one\ntwo\n"))
    admin_client.logs(Settings(), "m", told.append, follow=False, transport=running)
    running.answer = httpx.Response(200, text=": ping\n\ndata: three\n\n")
    admin_client.logs(Settings(), "", told.append, follow=True, transport=running)
    assert told == ["one\ntwo", "three"]
    assert [str(request.url.query, "ascii") for request in running.asked] == ["model=m", "follow=1"]


def test_where_and_with_which_key(home: Path) -> None:
    running = Running(httpx.Response(200, json={"changed": []}))
    (home / "llama-bridge").mkdir()
    (home / "llama-bridge/key").write_text("from the file\n")
    for options in (
        {"PROXY_HOST": "0.0.0.0"},
        {"PROXY_HOST": "::", "PROXY_API_KEYS": "mine,other"},
        {"PROXY_API_KEYS": "none"},
    ):
        admin_client.reload(load(options), running)
    assert [request.url.host for request in running.asked] == ["127.0.0.1", "::1", "127.0.0.1"]
    assert [request.headers.get("authorization") for request in running.asked] == [
        "Bearer from the file",
        "Bearer mine",
        None,
    ]


@pytest.mark.parametrize(
    ("words", "code"), [(["reload"], 2), (["logs", "m"], 2), (["models", "/no/such"], 2)]
)
def test_as_commands_that_fail(
    words: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROXY_PORT", "1")
    with pytest.raises(SystemExit) as ended:
        main.main(words)
    assert ended.value.code == code
    assert capsys.readouterr().err.startswith("llama-bridge: ")


def test_as_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(admin_client, "reload", lambda settings: "reloaded")
    monkeypatch.setattr(
        admin_client, "logs", lambda settings, model, tell, follow: tell(f"{model} {follow}")
    )
    for words in (["reload"], ["logs", "m", "-f"]):
        with pytest.raises(SystemExit) as ended:
            main.main(words)
        assert ended.value.code == 0
    assert capsys.readouterr().out == "reloaded\nm True\n"

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(admin_client, "logs", interrupted)
    with pytest.raises(SystemExit) as ended:
        main.main(["logs"])
    assert ended.value.code == 130
