"""Progress of prompt processing, with a description for a client that waits."""

from dataclasses import dataclass

from proxy.parsing.events import Progress

_MIN_INTERVAL = 0.5  # seconds between reports; a shorter interval gives no reliable speed


@dataclass(slots=True)
class PromptProgress:
    done: int
    total: int
    updated_at: float  # monotonic time of the last report
    initial: int  # tokens in the first report, which were cached
    started_at: float

    @classmethod
    def start(cls, progress: Progress, now: float) -> "PromptProgress":
        return cls(progress.done, progress.total, now, progress.done, now)

    def update(self, progress: Progress, now: float) -> None:
        self.done, self.total, self.updated_at = progress.done, progress.total, now

    @property
    def fraction(self) -> float:
        return min(1.0, self.done / self.total) if self.total else 0.0

    def describe(self, now: float) -> str:
        words = f"prompt {self.done:,} of {self.total:,} ({self.fraction:.0%})".replace("%", " %")
        if self.done <= self.initial or self.updated_at - self.started_at < _MIN_INTERVAL:
            return words  # too few reports to compute the speed
        speed = (self.done - self.initial) / (self.updated_at - self.started_at)
        left = max(0.0, (self.total - self.done) / speed - (now - self.updated_at))
        return f"{words}, {speed:,.0f} tok/s, about {int(left):,} s left"
