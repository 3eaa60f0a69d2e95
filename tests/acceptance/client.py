"""OpenCode as a user has it, offline: what is configured is our address and nothing else that
changes what it sends.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.processes import Program, bare_environment, running

START_SECONDS = 60
TURN_SECONDS = 60

# The discard port: whoever wants to leave the machine is refused at once.
NOWHERE = "http://127.0.0.1:9"
OFFLINE = {
    "HTTP_PROXY": NOWHERE,
    "HTTPS_PROXY": NOWHERE,
    "NO_PROXY": "127.0.0.1,localhost",
    "npm_config_offline": "true",
    "npm_config_registry": NOWHERE,
    "npm_config_fetch_retries": "0",
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
    "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    "OPENCODE_DISABLE_MODELS_FETCH": "1",
    "OPENCODE_DISABLE_SHARE": "1",
}


@dataclass(frozen=True)
class Turn:
    """What OpenCode made of one question: its own parts, in the order it wrote them."""

    session: str
    parts: list[dict[str, Any]]

    def text(self, kind: str = "text") -> str:
        return "".join(part["text"] for part in self.parts if part["type"] == kind)

    @property
    def tools(self) -> list[dict[str, Any]]:
        return [part for part in self.parts if part["type"] == "tool"]

    def ran(self) -> list[tuple[str, str, str | None]]:
        """Each tool that was called, how that ended, and the command it was given."""
        return [
            (part["tool"], part["state"]["status"], part["state"]["input"].get("command"))
            for part in self.tools
        ]

    def evidence(self) -> str:
        return (
            f"--- what OpenCode made of it ---\n"
            f"{json.dumps(self.parts, ensure_ascii=False, indent=1)[-6_000:]}"
        )


def configuration(providers: dict[str, str], default: str) -> dict[str, Any]:
    """Provider name → base URL; each has one model, whose name no server behind knows."""
    return {
        "provider": {
            name: {
                "npm": "@ai-sdk/openai-compatible",
                "options": {"baseURL": url, "apiKey": "unused"},
                "models": {
                    "model": {"tool_call": True, "limit": {"context": 65_536, "output": 4_096}}
                },
            }
            for name, url in providers.items()
        },
        "enabled_providers": sorted(providers),
        "model": f"{default}/model",
        "small_model": f"{default}/model",
        "autoupdate": False,
        "share": "disabled",
        "permission": {"*": "allow", "webfetch": "deny", "external_directory": "deny"},
    }


def run(
    program: Path, home: Path, project: Path, *arguments: str, seconds: int = TURN_SECONDS
) -> Turn:
    """`opencode run`, the way a user types it in the project's folder."""
    command: list[str | Path] = [program, "run", "--format", "json", "--print-logs", *arguments]
    with running(
        "opencode run", command, home / "run.log", project, bare_environment(home) | OFFLINE
    ) as ran:
        ran.wait("end of the turn", seconds)
    events = [json.loads(line) for line in ran.output().splitlines() if line.startswith("{")]
    assert events, f"it said nothing\n{ran.evidence()}"
    assert not any(event["type"] == "error" for event in events), ran.evidence()
    return Turn(events[0]["sessionID"], [event["part"] for event in events])


class Conversations:
    """One `opencode serve` for many sessions: starting the program is what costs the time."""

    def __init__(self, program: Program, address: str, project: Path) -> None:
        self.program = program
        self.http = httpx.Client(
            base_url=address,
            params={"directory": str(project)},
            timeout=TURN_SECONDS,
            trust_env=False,
        )

    def open(self, title: str) -> str:
        session: str = self.ask("POST", "/session", {"title": title})["id"]
        return session

    def turn(self, session: str, provider: str, text: str) -> Turn:
        """Asks and waits until OpenCode says that the turn is over; the parts are those of this
        turn's messages only.
        """
        before = len(self.messages(session))
        question = {
            "model": {"providerID": provider, "modelID": "model"},
            "parts": [{"type": "text", "text": text}],
        }
        self.ask("POST", f"/session/{session}/message", question)
        said = [
            message
            for message in self.messages(session)[before:]
            if message["info"]["role"] == "assistant"
        ]
        errors = [message["info"]["error"] for message in said if message["info"].get("error")]
        assert not errors, f"OpenCode reports {errors}\n{self.program.evidence()}"
        return Turn(session, [part for message in said for part in message["parts"]])

    def messages(self, session: str) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.ask("GET", f"/session/{session}/message")
        return messages

    def ask(self, method: str, path: str, body: object = None) -> Any:
        try:
            answer = self.http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise AssertionError(
                f"opencode serve, {method} {path}: {error!r}\n{self.program.evidence()}"
            ) from error
        assert answer.is_success, (
            f"opencode serve, {method} {path}: {answer.status_code} {answer.text}\n"
            f"{self.program.evidence()}"
        )
        return answer.json()


@contextmanager
def conversations(
    program: Path, home: Path, project: Path, settings: dict[str, Any]
) -> Iterator[Conversations]:
    environment = (
        bare_environment(home) | OFFLINE | {"OPENCODE_CONFIG_CONTENT": json.dumps(settings)}
    )
    command: list[str | Path] = [
        program,
        "serve",
        "--hostname",
        "127.0.0.1",
        "--port",
        "0",
        "--print-logs",
    ]
    with running("opencode serve", command, home / "serve.log", project, environment) as served:
        address = served.wait_for(
            lambda: re.search(r"listening on (http://\S+)", served.output()),
            "address",
            START_SECONDS,
        )[1]
        talk = Conversations(served, address, project)
        with talk.http:
            yield talk
