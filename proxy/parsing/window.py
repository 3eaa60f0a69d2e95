"""The part of a pushed text that a reader can see or return to.

A mark keeps the text that is read after it, so that it can be read again. No mark keeps more than
its limit: text beyond it is hidden until the mark is released.
"""

HELD_LIMIT = 4 << 20
"""The most text that is held back; what would need more is text."""

BLOCK = 1 << 10
"""Minimum size of kept blocks, so that many small pieces cost no more than few large ones."""

REREAD_FLOOR = 1 << 14
REREAD_SHARE = 2
"""How often each character may be read again, on average."""


class Mark:
    """A position to return to.

    Text at or after `limit` is hidden until the mark is released.
    """

    __slots__ = ("at", "limit")

    def __init__(self, at: int, limit: int) -> None:
        self.at, self.limit = at, limit


class Window:
    """Text that is pushed in at one end.

    Text before `_at` has been read, text after `_end` is hidden.
    """

    __slots__ = (
        "_at",
        "_base",
        "_blocks",
        "_blocks_from",
        "_end",
        "_furthest",
        "_marks",
        "_reread",
        "_text",
        "cut",
        "ended",
        "limit",
    )

    def __init__(self, text: str = "", limit: int = HELD_LIMIT) -> None:
        self._text, self._at, self._end = text, 0, len(text)
        self._base = 0  # position of `_text` in the whole text
        self._blocks: list[str] = []  # blocks before `_text` that a mark still needs
        self._blocks_from = 0
        self._marks: list[Mark] = []
        self.limit = limit  # default for marks
        self._reread = 0  # characters given back in total
        self._furthest = 0  # position of the furthest one
        self.ended = False
        self.cut = False  # the answer was cut, so nothing may be completed

    def push(self, text: str) -> None:
        read = self._at
        if not self._marks:
            self._text, self._base, self._at = self._text[read:] + text, self._base + read, 0
        elif read < BLOCK:
            self._text += text
        else:
            if not self._blocks:
                self._blocks_from = self._base
            self._blocks.append(self._text[:read])
            self._text, self._base, self._at = self._text[read:] + text, self._base + read, 0
        self._update_end()

    def end(self, *, cut: bool = False) -> None:
        self.ended, self.cut = True, cut

    @property
    def position(self) -> int:
        return self._base + self._at

    @property
    def hidden(self) -> bool:
        """Whether text is hidden because no more may be kept."""
        return self._end < len(self._text)

    @property
    def starved(self) -> bool:
        """Whether a computation that waits for more text would wait forever."""
        return self.ended or self._end < len(self._text)

    def may_grow(self) -> bool:
        """Return whether there may be more text than is visible now."""
        return not self.ended or self._end < len(self._text)

    def _update_end(self) -> None:
        self._end = len(self._text)
        if self._marks:
            limit = min(mark.limit for mark in self._marks) - self._base
            self._end = max(self._at, min(self._end, limit))

    # Marks and rewinding.

    def mark(self, limit: int | None = None) -> Mark:
        """Set a mark: from here on the text can be read again, up to `limit` characters."""
        mark = Mark(self.position, self.position + (self.limit if limit is None else limit))
        self._marks.append(mark)
        self._update_end()
        return mark

    def since(self, mark: Mark) -> str:
        start = mark.at - self._base
        if start >= 0:
            return self._text[start : self._at]
        return ("".join(self._blocks) + self._text[: self._at])[mark.at - self._blocks_from :]

    def text_from(self, position: int) -> str:
        """Return what was read since a position after the last pause."""
        return self._text[max(position - self._base, 0) : self._at]

    @property
    def last_mark(self) -> Mark:
        return self._marks[-1]

    def rewind(self, mark: Mark) -> None:
        """Return to a mark."""
        if mark not in self._marks:
            raise ValueError("this mark was given up")
        self._reread += self.position - mark.at
        self._furthest = max(self._furthest, self.position)
        if mark.at < self._base:
            blocks = [self._text]
            while mark.at < self._base:
                blocks.append(self._blocks.pop())
                self._base -= len(blocks[-1])
            self._text = "".join(reversed(blocks))
        self._at = mark.at - self._base
        self._update_end()

    def release(self, mark: Mark) -> None:
        """Release a mark; one that was released already is ignored."""
        if mark in self._marks:
            self._marks.remove(mark)
            self._drop_unneeded()

    @property
    def mark_count(self) -> int:
        """Number of marks, to `release_to` or `rewind_to` later."""
        return len(self._marks)

    def release_to(self, count: int) -> None:
        """Release all but the first `count` marks; the text since then cannot be read again."""
        del self._marks[count:]
        self._drop_unneeded()

    def rewind_to(self, count: int) -> str:
        """Release all but the first `count` marks, and unread the text that they kept.

        Each character can be read again only a limited number of times. Beyond that, the text is
        returned instead, and stays read.
        """
        text = ""
        if len(self._marks) > count:
            mark = min(self._marks[count:], key=lambda one: one.at)
            self.rewind(mark)
            if self.over_budget:
                self._at = self._furthest - self._base
                text = self.since(mark)
            self.release_to(count)
        return text

    def take_rest(self) -> str:
        """Read and return all remaining text, including what a mark still kept."""
        unread = self.rewind_to(0) + self._text[self._at :]
        self._at = self._end = len(self._text)
        return unread

    @property
    def over_budget(self) -> bool:
        """Whether so much was given back that reading on would take more than linear time."""
        return self._reread > REREAD_FLOOR + REREAD_SHARE * self._furthest

    def _drop_unneeded(self) -> None:
        """Drop the text that no mark needs."""
        if self._blocks:
            needed = min((mark.at for mark in self._marks), default=self._base)
            blocks = 0
            while (
                blocks < len(self._blocks)
                and self._blocks_from + len(self._blocks[blocks]) <= needed
            ):
                self._blocks_from += len(self._blocks[blocks])
                blocks += 1
            del self._blocks[:blocks]
        self._update_end()
