"""The part of a pushed text that a reader can still see or return to.

A mark keeps what is read after it, so that it can be read again. No mark keeps more than its limit:
text beyond the limit stays out of sight until the mark is released.
"""

HELD_LIMIT = 4 << 20
"""No more text is ever held back; what would need more is text."""

BLOCK = 1 << 10
"""What is kept is cut into blocks of at least this size, so that many small pieces cost no more
than a few large ones.
"""

AGAIN_FLOOR = 1 << 14
AGAIN_SHARE = 2
"""So often may every letter be read again, on average."""


class Mark:
    """A position to return to.

    Nothing at or behind `limit` can be seen before the mark is released.
    """

    __slots__ = ("at", "limit")

    def __init__(self, at: int, limit: int) -> None:
        self.at, self.limit = at, limit


class Window:
    """Text that is pushed in at one end.

    What is before `_at` was read, what is behind `_end` is out of sight.
    """

    __slots__ = (
        "_again",
        "_at",
        "_base",
        "_end",
        "_furthest",
        "_kept",
        "_kept_from",
        "_marks",
        "_text",
        "cut",
        "ended",
        "limit",
    )

    def __init__(self, text: str = "", limit: int = HELD_LIMIT) -> None:
        self._text, self._at, self._end = text, 0, len(text)
        self._base = 0  # where in the whole text `_text` begins
        self._kept: list[str] = []  # the blocks before `_text` that a mark still needs
        self._kept_from = 0
        self._marks: list[Mark] = []
        self.limit = limit  # how much a mark may keep, unless it says otherwise
        self._again = 0  # letters given back in all
        self._furthest = 0  # where the last of them stands
        self.ended = False
        self.cut = False  # it ended in the middle: nothing may be completed

    def push(self, text: str) -> None:
        read = self._at
        if not self._marks:
            self._text, self._base, self._at = self._text[read:] + text, self._base + read, 0
        elif read < BLOCK:
            self._text += text
        else:
            if not self._kept:
                self._kept_from = self._base
            self._kept.append(self._text[:read])
            self._text, self._base, self._at = self._text[read:] + text, self._base + read, 0
        self._see()

    def end(self, *, cut: bool = False) -> None:
        self.ended, self.cut = True, cut

    @property
    def position(self) -> int:
        return self._base + self._at

    @property
    def hidden(self) -> bool:
        """Whether there is text out of sight, because what is kept may not grow further."""
        return self._end < len(self._text)

    @property
    def starved(self) -> bool:
        """Whether a computation that waits for more text now would wait for ever."""
        return self.ended or self._end < len(self._text)

    def more(self) -> bool:
        """Whether there may be more text than is to be seen now."""
        return not self.ended or self._end < len(self._text)

    def _see(self) -> None:
        self._end = len(self._text)
        if self._marks:
            limit = min(mark.limit for mark in self._marks) - self._base
            self._end = max(self._at, min(self._end, limit))

    # what may be given back

    def mark(self, limit: int | None = None) -> Mark:
        """From here on everything can be had again, up to so many letters."""
        mark = Mark(self.position, self.position + (self.limit if limit is None else limit))
        self._marks.append(mark)
        self._see()
        return mark

    def since(self, mark: Mark) -> str:
        start = mark.at - self._base
        if start >= 0:
            return self._text[start : self._at]
        return ("".join(self._kept) + self._text[: self._at])[mark.at - self._kept_from :]

    def text_from(self, position: int) -> str:
        """Return what was read since a place behind the last pause."""
        return self._text[max(position - self._base, 0) : self._at]

    @property
    def last_mark(self) -> Mark:
        return self._marks[-1]

    def rewind(self, mark: Mark) -> None:
        """Back to a mark."""
        if mark not in self._marks:
            raise ValueError("this mark was given up")
        self._again += self.position - mark.at
        self._furthest = max(self._furthest, self.position)
        if mark.at < self._base:
            blocks = [self._text]
            while mark.at < self._base:
                blocks.append(self._kept.pop())
                self._base -= len(blocks[-1])
            self._text = "".join(reversed(blocks))
        self._at = mark.at - self._base
        self._see()

    def release(self, mark: Mark) -> None:
        """Keep nothing for this mark any more. One that was given up already is no mark."""
        if mark in self._marks:
            self._marks.remove(mark)
            self._forget()

    @property
    def depth(self) -> int:
        """How many marks are set. To `give_up` or `unwind` down to it later."""
        return len(self._marks)

    def give_up(self, depth: int) -> None:
        """Release all marks but the first so many: what was read since then is read for good."""
        del self._marks[depth:]
        self._forget()

    def unwind(self, depth: int) -> str:
        """Release all marks but the first so many, whatever set them and failed to, and unread what
        they kept.

        Every letter may be read again so often only: beyond that, what was read once already is
        returned, and stays read.
        """
        text = ""
        if len(self._marks) > depth:
            mark = min(self._marks[depth:], key=lambda one: one.at)
            self.rewind(mark)
            if self.tired:
                self._at = self._furthest - self._base
                text = self.since(mark)
            self.give_up(depth)
        return text

    def rest(self) -> str:
        """All that is left, read; what a mark still kept belongs to it."""
        unread = self.unwind(0) + self._text[self._at :]
        self._at = self._end = len(self._text)
        return unread

    @property
    def tired(self) -> bool:
        """Whether so much was given back that reading on like that would take more than linear
        time.
        """
        return self._again > AGAIN_FLOOR + AGAIN_SHARE * self._furthest

    def _forget(self) -> None:
        """Drop what no mark needs."""
        if self._kept:
            needed = min((mark.at for mark in self._marks), default=self._base)
            blocks = 0
            while blocks < len(self._kept) and self._kept_from + len(self._kept[blocks]) <= needed:
                self._kept_from += len(self._kept[blocks])
                blocks += 1
            del self._kept[:blocks]
        self._see()
