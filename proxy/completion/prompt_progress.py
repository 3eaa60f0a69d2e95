"""How far a backend has read a prompt, in a sentence for whoever waits."""

from dataclasses import dataclass

from proxy.parsing.events import Progress

_TELLING = 0.5  # seconds between two reports; less tells nothing


@dataclass(slots=True)
class Reading:
    done: int
    total: int
    at: float  # when it was heard, in seconds
    done_at_first: int  # what the cache held already
    since: float

    @classmethod
    def begun(cls, progress: Progress, now: float) -> "Reading":
        return cls(progress.done, progress.total, now, progress.done, now)

    def went_on(self, progress: Progress, now: float) -> None:
        self.done, self.total, self.at = progress.done, progress.total, now

    @property
    def share(self) -> float:
        return min(1.0, self.done / self.total) if self.total else 0.0

    def sentence(self, now: float) -> str:
        words = f"prompt {self.done:,} of {self.total:,} ({self.share:.0%})".replace("%", " %")
        if self.done <= self.done_at_first or self.at - self.since < _TELLING:
            return words  # one report tells no speed
        speed = (self.done - self.done_at_first) / (self.at - self.since)
        left = max(0.0, (self.total - self.done) / speed - (now - self.at))
        return f"{words}, {speed:,.0f} tok/s, about {int(left):,} s left"
