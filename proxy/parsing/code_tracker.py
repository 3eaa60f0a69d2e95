"""Where Markdown says that a text is code: markers in there are quoted, not meant."""

import re

PIECES = re.compile(r"\n|`+|~+|[^\n`~]+")
SPECIAL = re.compile(r"[\n`~]")
SHORTEST_FENCE = 3
ITEM = r"(?:[-*+]|[0-9]{1,9}[.)])"
MARGIN = re.compile(rf"[ \t>]*(?:{ITEM}[ \t][ \t>]*)*")
"""What may stand before a fence: blanks, the marks of a quotation and of a list."""
PARTIAL_MARGIN = re.compile(rf"{MARGIN.pattern}(?:{ITEM}|[0-9]{{1,9}})?")
WIDEST_MARGIN = 64
LONGEST_RUN = 1 << 10
"""Longer runs of backticks or tildes are all alike."""
CLOSER_INDENT = 3
"""So much deeper than its opening line a fence may close."""


class CodeTracker:
    """Follows fences and inline code spans through a text that comes in pieces."""

    __slots__ = (
        "_fence",
        "_head",
        "_indent",
        "_kept_open",
        "_margin",
        "_may_close",
        "_run",
        "_span",
    )

    def __init__(self) -> None:
        self._run = ""  # backticks or tildes that may go on in the next piece
        self._margin: str | None = ""  # the line so far; None after anything that ends its margin
        # A run that began this line: a fence when the line ends, unless more backticks follow.
        self._head = ""
        self._may_close = (
            False  # this line began with what closes the open fence, if nothing follows it
        )
        self._fence = ""  # the run that opened the fence we are in
        self._indent = 0  # how wide the margin before it was
        self._kept_open = False
        self._span = 0  # the length of the run that opened the inline code we are in

    @property
    def span(self) -> int:
        """The length of the run that closes the inline code we are in."""
        return self._span

    @property
    def fenced(self) -> bool:
        return bool(self._fence)

    @property
    def inline(self) -> bool:
        """Whether the next letter, which is no backtick, would stand in inline code or in the
        opening line of a fence.
        """
        if self._run[:1] == "`" and not self._fence:
            return self._span != len(self._run)
        return bool(self._span or self._head)

    def keep_open(self) -> None:
        """A marker stands in this inline code: then it does not end with the line, but with its
        closing run or an empty line.
        """
        self._kept_open = True

    def feed(self, text: str) -> None:
        if not self._run and not SPECIAL.search(text):
            self._words(text)
            return
        for piece in PIECES.findall(text):
            if piece[0] in "`~":
                if self._run and self._run[0] != piece[0]:
                    self._end_run()
                self._run = (self._run + piece)[:LONGEST_RUN]
                continue
            self._end_run()
            if piece == "\n":
                self._end_line()
            else:
                self._words(piece)

    def end(self) -> None:
        """The text is over: so is its last line."""
        self._end_run()
        self._end_line()

    def _words(self, text: str) -> None:
        self._end_run()
        if self._margin is not None:
            line = self._margin + text
            self._margin = (
                line if len(line) <= WIDEST_MARGIN and PARTIAL_MARGIN.fullmatch(line) else None
            )
        if self._may_close and text.strip():
            self._may_close = False

    def _end_run(self) -> None:
        """A run of backticks or tildes is complete."""
        run, self._run = self._run, ""
        if not run:
            return
        margin = (
            MARGIN.fullmatch(self._margin)
            if self._margin is not None and len(run) >= SHORTEST_FENCE
            else None
        )
        self._margin = None
        if self._fence:
            near = (
                margin is not None
                and margin.end() <= self._indent + CLOSER_INDENT
                and not margin.group().strip(" \t>")
            )
            self._may_close = near and run.startswith(self._fence)
        elif margin:
            self._head, self._indent = run, margin.end()
        elif run[0] == "`":
            self._span, self._head = (
                (0, "")
                if self._span == len(run) or self._head[:1] == "`"
                else (self._span or len(run), self._head)
            )

    def _end_line(self) -> None:
        if self._may_close:
            self._fence = ""
        elif self._head:
            self._fence = self._head
        self._kept_open = self._kept_open and (self._margin is None or self._margin.strip() != "")
        if not self._kept_open:
            self._span = 0
        self._margin, self._head, self._may_close = "", "", False
