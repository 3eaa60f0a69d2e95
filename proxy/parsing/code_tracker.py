"""Detection of Markdown code. Markers inside code are quoted text, not tool calls."""

import re

PIECES = re.compile(r"\n|`+|~+|[^\n`~]+")
SPECIAL = re.compile(r"[\n`~]")
SHORTEST_FENCE = 3
ITEM = r"(?:[-*+]|[0-9]{1,9}[.)])"
MARGIN = re.compile(rf"[ \t>]*(?:{ITEM}[ \t][ \t>]*)*")
"""Text that may precede a fence on its line: blanks, blockquote marks and list markers."""
PARTIAL_MARGIN = re.compile(rf"{MARGIN.pattern}(?:{ITEM}|[0-9]{{1,9}})?")
WIDEST_MARGIN = 64
LONGEST_RUN = 1 << 10
"""Number of backticks or tildes after which the rest of a run is ignored."""
CLOSER_INDENT = 3
"""Number of columns by which a closing fence may be indented further than the opening one."""


class CodeTracker:
    """Tracker of code fences and inline code in a text that arrives in pieces."""

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
        self._run = ""  # backticks or tildes that may continue in the next piece
        self._margin: str | None = ""  # the line so far, while it may be the margin of a fence
        # The run that began this line. It opens a fence at the line's end unless backticks follow.
        self._head = ""
        self._may_close = False  # this line closes the open fence if nothing else follows on it
        self._fence = ""  # the run that opened the current fence; empty outside of fences
        self._indent = 0  # the width of the margin before that run
        self._kept_open = False  # the inline code does not end with its line
        self._span = 0  # the length of the run that opened the inline code; 0 outside of it

    @property
    def span(self) -> int:
        """Length of the run that closes the current inline code; 0 outside of inline code."""
        return self._span

    @property
    def fenced(self) -> bool:
        return bool(self._fence)

    @property
    def inline(self) -> bool:
        """Whether the next character is in inline code or in the opening line of a fence.

        The next character is assumed not to be a backtick.
        """
        if self._run[:1] == "`" and not self._fence:
            return self._span != len(self._run)
        return bool(self._span or self._head)

    def keep_open(self) -> None:
        """Keep the current inline code open past the end of its line.

        Call this if the code contains a marker. It then ends at its closing run or an empty line.
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
        """End the text, and with it the last line."""
        self._end_run()
        self._end_line()

    def _words(self, text: str) -> None:
        """Process text that contains no newline, backtick or tilde."""
        self._end_run()
        if self._margin is not None:
            line = self._margin + text
            self._margin = (
                line if len(line) <= WIDEST_MARGIN and PARTIAL_MARGIN.fullmatch(line) else None
            )
        if self._may_close and text.strip():
            self._may_close = False

    def _end_run(self) -> None:
        """Process a complete run of backticks or tildes, if there is one."""
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
