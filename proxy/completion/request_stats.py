"""Statistics of one request, and its line in the log, which never contain content or keys."""

import contextlib
import logging
import secrets
import string
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from proxy.completion.prompt_progress import PromptProgress
from proxy.parsing.events import Progress, Usage
from proxy.printable import printable

logger = logging.getLogger("llama-bridge")

_PATH_LIMIT = 200  # characters
_CHARS_PER_TOKEN = 4
_MIN_WAIT_LOGGED = 0.05  # seconds


def new_request_id() -> str:
    """Return a random request id without digits.

    Some clients search the text of an error for a status code, and must not find one in the id.
    """
    return "req_" + "".join(secrets.choice(string.ascii_lowercase) for _ in range(12))


@dataclass(slots=True)
class RequestStats:
    id: str
    method: str
    path: str
    started_at: float = field(default_factory=time.monotonic)
    status: int | None = None
    model: str | None = None
    is_generation: bool = False  # the request generates an answer, so output follows the headers
    # Returns why the request has not been sent to the backend yet, or None.
    waiting_reason: Callable[[], str | None] = lambda: None
    wait_seconds: float = 0.0  # time spent waiting until the model was free
    prompt_progress: PromptProgress | None = None  # None until the backend reports progress
    usage: Usage | None = None
    estimated: bool = False  # `usage` is an estimate, because the backend reported none
    output_chars: int = 0
    first_output_at: float | None = None  # monotonic time
    last_output_at: float | None = None
    calls: Counter[str] = field(default_factory=Counter)  # number of calls by source
    # Number of quoted calls, which stayed text, by the rule that applied.
    quoted: Counter[str] = field(default_factory=Counter)
    recovery_steps: list[str] = field(
        default_factory=list
    )  # names of the steps that recovered the answer
    error: str = ""  # what failed; empty if nothing did
    warning: str = ""  # what the user should know about the backend; may be empty

    def add_output(self, chars: int = 0) -> None:
        self.last_output_at = time.monotonic()
        self.output_chars += chars
        if self.first_output_at is None:
            self.first_output_at = self.last_output_at

    def update_progress(self, progress: Progress) -> None:
        if self.prompt_progress is None:
            self.prompt_progress = PromptProgress.start(progress, time.monotonic())
        else:
            self.prompt_progress.update(progress, time.monotonic())

    @contextlib.contextmanager
    def measure_wait(self) -> Iterator[None]:
        """Record the duration of the `with` block as `wait_seconds`."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.wait_seconds = time.monotonic() - began

    @property
    def is_waiting(self) -> bool:
        """Whether the request still waits for its first output."""
        return self.first_output_at is None and (self.is_generation or self.status is None)

    def with_request_id(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the error `body` with the request id added, by which to find the log line."""
        return {"error": body["error"] | {"request_id": self.id}}

    def as_dict(self) -> dict[str, Any]:
        """Return all statistics for the JSON log and the dashboard; unknown values are None."""
        usage = self.usage
        return {
            "id": self.id,
            "method": self.method,
            "path": self.path[:_PATH_LIMIT],
            "status": self.status,
            "model": self.model,
            "prompt_tokens": usage.prompt if usage is not None else None,
            "cached_tokens": usage.cached if usage is not None else None,
            "completion_tokens": usage.completion
            if usage is not None
            else self.output_chars // _CHARS_PER_TOKEN or None,
            "estimated": self.estimated or (usage is None and self.output_chars > 0),
            "tokens_per_second": self._rate(),
            "first_after": round(self.first_output_at - self.started_at, 2)
            if self.first_output_at is not None
            else None,
            "waited": round(self.wait_seconds, 2),
            "seconds": round(time.monotonic() - self.started_at, 2),
            "calls": dict(self.calls),
            "quoted": dict(self.quoted),
            "note": self.error,
        }

    def write(self) -> None:
        words = [self.id, self.method, self.path[:_PATH_LIMIT], str(self.status or "gone")]
        if self.model is not None:
            words.append(self.model)
        words += self._tokens()
        if self.wait_seconds >= _MIN_WAIT_LOGGED:
            words.append(f"waited {self.wait_seconds:.2f} s for its turn,")
        if self.first_output_at is not None:
            words.append(f"first after {self.first_output_at - self.started_at:.2f} s,")
        words.append(f"{time.monotonic() - self.started_at:.2f} s")
        if self.calls:
            found = ", ".join(f"{count} {how}" for how, count in sorted(self.calls.items()))
            words.append(f"| calls: {found}")
        if self.quoted:
            words.append(f"| quoted: {self.quoted.total()} ({_by_rule(self.quoted)})")
        if self.recovery_steps:
            words.append(f"| recovered: {', '.join(self.recovery_steps)}")
        if self.warning:
            words.append(f"| {self.warning}")
        if self.error:
            words.append(f"| {self.error}")
        level = logging.WARNING if (self.status or 0) >= 500 or self.error else logging.INFO
        logger.log(level, "%s", printable(" ".join(words)), extra={"figures": self.as_dict()})

    def _tokens(self) -> list[str]:
        if self.usage is None:
            return []
        about = "~" if self.estimated else ""
        words = [
            (
                f"in {about}{self.usage.prompt:,} (cached {self.usage.cached:,}) out "
                f"{about}{self.usage.completion:,},"
            )
        ]
        if (rate := self._rate()) is not None:
            words.append(f"{rate:,.1f} tok/s,")
        return words

    def _rate(self) -> float | None:
        """Return the output rate in tokens per second, or None if it cannot be measured."""
        made = (
            self.usage.completion
            if self.usage is not None
            else self.output_chars // _CHARS_PER_TOKEN
        )
        if (
            self.first_output_at is None
            or self.last_output_at is None
            or self.last_output_at <= self.first_output_at
            or made <= 1
        ):
            return None
        return round(made / (self.last_output_at - self.first_output_at), 1)


def _by_rule(quoted: Counter[str]) -> str:
    """Format the counts by rule: `code 1, list 2`, or only the name if there is one rule."""
    only = len(quoted) == 1
    return ", ".join(rule if only else f"{rule} {count}" for rule, count in sorted(quoted.items()))
