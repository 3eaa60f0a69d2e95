"""What is known of one request while it is answered, and the one line that a person reads of it:
figures only, never content, never keys."""

import contextlib
import logging
import secrets
import string
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from proxy.completion.prompt_progress import Reading
from proxy.parsing.events import Progress, Usage
from proxy.printable import printable

log = logging.getLogger("llama-bridge")

_PATH = 200  # letters
_LETTERS_PER_TOKEN = 4
_WORTH_A_WORD = 0.05  # seconds


def new_request_id() -> str:
    """Without digits: clients look for the numbers of a status in whatever they are told."""
    return "req_" + "".join(secrets.choice(string.ascii_lowercase) for _ in range(12))


@dataclass(slots=True)
class Record:
    id: str
    method: str
    path: str
    began: float = field(default_factory=time.monotonic)
    status: int | None = None
    model: str | None = None
    generates: bool = False  # what is answered comes word by word, after the prompt was read
    # Why it has not been sent to the backend yet.
    waits_for: Callable[[], str | None] = lambda: None
    waited: float = 0.0  # seconds, for other requests on its model
    reading: Reading | None = None  # as far as the backend tells
    usage: Usage | None = None
    estimated: bool = False  # the backend counted nothing
    letters: int = 0
    first: float | None = None  # when the first of the answer arrived
    last: float | None = None
    calls: Counter[str] = field(default_factory=Counter)  # how each was found
    # Calls that are text, by the rule that says so.
    quoted: Counter[str] = field(default_factory=Counter)
    ways: list[str] = field(default_factory=list)  # that had to be gone to get the answer
    note: str = ""  # what went wrong, if anything
    remark: str = ""  # what a person should know of this backend

    def touched(self, letters: int = 0) -> None:
        self.last = time.monotonic()
        self.letters += letters
        if self.first is None:
            self.first = self.last

    def read(self, progress: Progress) -> None:
        if self.reading is None:
            self.reading = Reading.begun(progress, time.monotonic())
        else:
            self.reading.went_on(progress, time.monotonic())

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Measure what happens inside as time that the request waited for others."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.waited = time.monotonic() - began

    @property
    def waits(self) -> bool:
        """For the first of its answer."""
        return self.first is None and (self.generates or self.status is None)

    def named(self, body: dict[str, Any]) -> dict[str, Any]:
        """An error that names the line in the log where more may stand."""
        return {"error": body["error"] | {"request_id": self.id}}

    def figures(self) -> dict[str, Any]:
        """For programs, and for the page. What is not known yet is None."""
        usage = self.usage
        return {
            "id": self.id,
            "method": self.method,
            "path": self.path[:_PATH],
            "status": self.status,
            "model": self.model,
            "prompt_tokens": usage.prompt if usage is not None else None,
            "cached_tokens": usage.cached if usage is not None else None,
            "completion_tokens": usage.completion
            if usage is not None
            else self.letters // _LETTERS_PER_TOKEN or None,
            "estimated": self.estimated or (usage is None and self.letters > 0),
            "tokens_per_second": self._rate(),
            "first_after": round(self.first - self.began, 2) if self.first is not None else None,
            "waited": round(self.waited, 2),
            "seconds": round(time.monotonic() - self.began, 2),
            "calls": dict(self.calls),
            "quoted": dict(self.quoted),
            "note": self.note,
        }

    def write(self) -> None:
        words = [self.id, self.method, self.path[:_PATH], str(self.status or "gone")]
        if self.model is not None:
            words.append(self.model)
        words += self._tokens()
        if self.waited >= _WORTH_A_WORD:
            words.append(f"waited {self.waited:.2f} s for its turn,")
        if self.first is not None:
            words.append(f"first after {self.first - self.began:.2f} s,")
        words.append(f"{time.monotonic() - self.began:.2f} s")
        if self.calls:
            found = ", ".join(f"{count} {how}" for how, count in sorted(self.calls.items()))
            words.append(f"| calls: {found}")
        if self.quoted:
            words.append(f"| quoted: {self.quoted.total()} ({_by_rule(self.quoted)})")
        if self.ways:
            words.append(f"| got another way: {', '.join(self.ways)}")
        if self.remark:
            words.append(f"| {self.remark}")
        if self.note:
            words.append(f"| {self.note}")
        level = logging.WARNING if (self.status or 0) >= 500 or self.note else logging.INFO
        log.log(level, "%s", printable(" ".join(words)), extra={"figures": self.figures()})

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
        """None of what came at once."""
        made = (
            self.usage.completion if self.usage is not None else self.letters // _LETTERS_PER_TOKEN
        )
        if self.first is None or self.last is None or self.last <= self.first or made <= 1:
            return None
        return round(made / (self.last - self.first), 1)


def _by_rule(quoted: Counter[str]) -> str:
    """`blockquote`, or with figures where one alone says too little: `code 1, list 2`."""
    only = len(quoted) == 1
    return ", ".join(rule if only else f"{rule} {count}" for rule, count in sorted(quoted.items()))
