"""Calls of an answer that may still turn out to be text: in code, quoted, or bare."""

from collections.abc import Iterable, Sequence

from proxy.parsing.code_tracker import CodeTracker
from proxy.parsing.event_buffer import EventBuffer, Pending
from proxy.parsing.events import Content, TextEvent
from proxy.parsing.quoting import BARE, CODE, QuoteWatcher, newline_after


class UndecidedCalls:
    """Holder of the answer from the first undecided call on, until the calls are decided.

    The decision depends on the code around the calls, on whether they are the whole message, or on
    the text that the watchers find after them.
    """

    def __init__(self, buffer: EventBuffer, code: CodeTracker, limit: int) -> None:
        self._buffer, self._code, self._limit = buffer, code, limit
        self._pending: Pending | None = None
        # Whether the held text may be the whole message: bare calls, or a fence around calls.
        self.may_be_whole_message = False
        self.closed = False  # the fence is closed, or there is none
        self._bare = False  # the held calls have no certain marker
        self._line_blank = True  # only whitespace so far on the current line

    def __bool__(self) -> bool:
        return self._pending is not None

    @property
    def size(self) -> int:
        """Number of characters held."""
        return self._pending.size if self._pending else 0

    @property
    def is_watched(self) -> bool:
        """Whether watchers decide on the held calls."""
        return self._pending is not None and bool(self._pending.watchers)

    @property
    def in_closed_fence(self) -> bool:
        """Whether the held calls are in a fence that has been closed."""
        return self.closed and not self._bare

    def begin_fence(self, line: str) -> None:
        """Start holding at the opening line of a fence that may be the whole message."""
        self.begin().add(line, ())
        self.may_be_whole_message, self.closed, self._line_blank = True, False, True

    def begin_bare(self) -> None:
        """Start holding bare calls, which count only if they are the whole message."""
        if self._pending is None:
            self.begin()
            self.may_be_whole_message = self.closed = self._bare = self._line_blank = True

    def begin(self) -> Pending:
        """Start holding, unless something is held already, and return what is held."""
        self._pending = self._pending or Pending()
        return self._pending

    def add_calls(
        self, raw: str, events: Sequence[TextEvent], watchers: Iterable[QuoteWatcher]
    ) -> None:
        """Emit calls, or hold them if something is held already or `watchers` must decide."""
        watchers = tuple(watchers)
        if watchers and (self._pending is None or self._pending.watchers):
            self.begin().watchers.add(watchers)
        if self._pending is not None:
            self._pending.add(raw, events)
            if newline := newline_after(raw):
                self.feed_watchers(newline)
        elif events:
            self._buffer.add_calls(events)

    def add_text(self, text: str, visible: str) -> None:
        """Emit or hold text of the answer. Quoting rules read `visible` in its place."""
        if self._pending is None:
            self._buffer.add_text(text)
            return
        self._pending.add(text, [Content(text)])
        if self._pending.watchers:
            self.feed_watchers(visible)
        elif text.strip():
            self._line_blank = False
            if self.closed or not self._pending.count:
                self.emit_as_text(BARE if self._bare else CODE)
        if self.size > self._limit:
            self.emit_as_text()

    def add_markup(self, raw: str) -> None:
        """Hold markup that is dropped if the held calls count as calls."""
        if self._pending is not None:
            self._pending.add(raw, ())

    def feed_watchers(self, visible: str) -> None:
        """Pass text after the held calls to the watchers, which may decide on the calls."""
        if self._pending is not None and self._pending.watchers:
            self._decide(self._pending.watchers.feed(visible))

    def end_part(self) -> None:
        """End a part of the message. The watchers then decide without further text."""
        if self._pending is not None and self._pending.watchers:
            self._decide(self._pending.watchers.end(cut=False))

    def _decide(self, rule: str | None) -> None:
        """Apply a decision: a rule refuses the calls, "" accepts them, None leaves them held."""
        if rule:
            self.emit_as_text(rule)
        elif rule is not None:
            pending, self._pending = self.begin(), None
            self._buffer.add_calls(pending.events)

    def end_line(self) -> bool:
        """Process the end of a line, and return whether it has closed the fence."""
        closes = False
        if self._pending is not None and not self._pending.watchers:
            if not self._code.fenced and not self.closed:
                closes = self.closed = True
                if not self.may_be_whole_message:
                    self.emit_as_text(CODE)
            elif not self._line_blank:
                self.may_be_whole_message = False
        self._line_blank = True
        return closes

    def emit_as_text(self, rule: str = "") -> None:
        """Emit everything that is held as text.

        `rule` refuses the calls and counts them. It is empty if the answer was cut, or if too much
        was held.
        """
        pending, self._pending = self.begin(), None
        if rule and pending.count:
            self._buffer.quoted_calls[rule] += pending.count
        self.may_be_whole_message = self.closed = self._bare = False
        self._buffer.add_text(pending.raw)

    def end(self, *, cut: bool) -> None:
        """Decide on the held calls at the end of the answer."""
        pending = self.begin()
        if pending.watchers:
            self._decide(pending.watchers.end(cut=cut))
        elif cut:
            self.emit_as_text()
        elif self.may_be_whole_message:
            self._buffer.add_calls(pending.calls)
        elif pending.ends_in_text:
            self.emit_as_text(CODE)
        else:
            self._buffer.add_calls(pending.events)
