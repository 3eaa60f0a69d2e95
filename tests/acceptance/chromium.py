"""A headless Chromium, spoken to over two pipes in its own protocol: no driver, no package of
npm's, nothing of the network.
"""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_WAIT = 30.0
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
)


def program() -> str:
    found = next(
        (
            path
            for name in ("chromium", "chromium-browser", "google-chrome")
            if (path := shutil.which(name))
        ),
        None,
    )
    assert found is not None, "no Chromium on PATH: apt-get install chromium"
    return found


class Chromium:
    def __init__(self, folder: Path) -> None:
        asks, self._to = os.pipe()
        self._from, tells = os.pipe()
        # The browser reads at 3 and writes at 4; the shell puts them there, since the numbers here
        # may be any.
        script = f'exec "$0" "$@" 3<&{asks} 4>&{tells}'
        command = [
            "bash",
            "-c",
            script,
            program(),
            *_FLAGS,
            "--remote-debugging-pipe",
            f"--user-data-dir={folder}",
            "about:blank",
        ]
        self._process = subprocess.Popen(
            command,
            pass_fds=(asks, tells),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(asks)
        os.close(tells)
        self._ids = itertools.count(1)
        self._unread = b""
        self._session: str | None = None
        self.happened: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for room in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{room}.enable")

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(_WAIT)
        os.close(self._to)
        os.close(self._from)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        id = next(self._ids)
        session = {"sessionId": self._session} if self._session is not None else {}
        os.write(
            self._to,
            json.dumps({"id": id, "method": method, "params": parameters, **session}).encode()
            + b"\0",
        )
        while (message := self._next()).get("id") != id:
            self.happened.append(message)
        assert "error" not in message, (method, message)
        result: dict[str, Any] = message["result"]
        return result

    def value(self, expression: str) -> Any:
        answer = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, seen: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + _WAIT
        while not (found := seen()):
            assert time.monotonic() < deadline, self.value("document.body.innerText")
            time.sleep(0.05)
        return found

    def screenshot(self, path: Path) -> None:
        path.write_bytes(
            base64.b64decode(
                self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
            )
        )

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            assert select.select([self._from], [], [], _WAIT)[0], "Chromium says nothing"
            data = os.read(self._from, 1 << 20)
            assert data, "Chromium has ended"
            self._unread += data
        message, _, self._unread = self._unread.partition(b"\0")
        parsed: dict[str, Any] = json.loads(message)
        return parsed
