"""The one line that a person reads of each request: figures only, never content, never keys."""

import logging
import time
from collections import Counter
from dataclasses import dataclass, field

from proxy.stream.events import Usage

log = logging.getLogger("llama-bridge")


@dataclass(slots=True)
class Record:
    id: str
    method: str
    path: str
    began: float = field(default_factory=time.monotonic)
    status: int | None = None
    model: str | None = None
    usage: Usage | None = None
    estimated: bool = False  # the backend counted nothing
    first: float | None = None  # when the first of the answer arrived
    last: float | None = None
    calls: Counter[str] = field(default_factory=Counter)  # how each was found
    ways: list[str] = field(default_factory=list)  # that had to be gone to get the answer
    note: str = ""  # what went wrong, if anything
    remark: str = ""  # what a person should know of this backend

    def touched(self) -> None:
        self.last = time.monotonic()
        if self.first is None:
            self.first = self.last

    def write(self) -> None:
        words = [self.id, self.method, self.path, str(self.status or "gone")]
        if self.model is not None:
            words.append(self.model)
        words += self._tokens()
        if self.first is not None:
            words.append(f"first after {self.first - self.began:.2f} s,")
        words.append(f"{time.monotonic() - self.began:.2f} s")
        if self.calls:
            found = ", ".join(f"{count} {how}" for how, count in sorted(self.calls.items()))
            words.append(f"| calls: {found}")
        if self.ways:
            words.append(f"| got another way: {', '.join(self.ways)}")
        if self.remark:
            words.append(f"| {self.remark}")
        if self.note:
            words.append(f"| {self.note}")
        level = logging.WARNING if (self.status or 0) >= 500 or self.note else logging.INFO
        log.log(level, "%s", " ".join(words))

    def _tokens(self) -> list[str]:
        if self.usage is None:
            return []
        about = "~" if self.estimated else ""
        words = [f"in {about}{self.usage.prompt:,} (cached {self.usage.cached:,}) out {about}{self.usage.completion:,},"]
        if self.first is not None and self.last is not None and self.last > self.first and self.usage.completion > 1:
            words.append(f"{self.usage.completion / (self.last - self.first):,.1f} tok/s,")
        return words
