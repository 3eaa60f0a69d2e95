"""Rules that tell a quoted call from a real one: data, and pure functions on the text around it.

`line_rule` judges the beginning of the line before the call. `watchers` finds marks that are still
open before the call, so that the text after it decides. Each rule has a name for the log.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias

QuotedCalls: TypeAlias = Literal["text", "run"]

CALL = "\ufffc"
"""Placeholder for a call in the text that the rules read."""
QUOTED = "\u2026"
"""Placeholder for a refused call: no rule looks inside it."""

CODE, COMMENT, REPEATED, OTHER_DIALECT, BARE = (
    "code",
    "comment",
    "repeated",
    "other-dialect",
    "bare",
)

LINES = (
    ("blockquote", re.compile(r"\s*>")),
    ("table", re.compile(r"\s*\|")),
    ("diff", re.compile(rf"\s*\+(?!\d)|\s*-[{CALL}{QUOTED}]*\Z")),
    (
        "line-number",
        re.compile(
            rf"\s*\d+(?: *[:|\t→│](?!\d)|[\s{CALL}{QUOTED}]*\Z)|\s*(?!\d+:\d)\S*[^\s:]:\d+:"
        ),
    ),
)
"""Beginnings of lines on which every call is quoted."""
LISTED = re.compile(r"\s*(?:[-*•‣·–]|\d{1,9}[.)])\s")
INDENTED = re.compile(rf"[ {CALL}]*(?: {{4}}|\t)[\s{CALL}]*")


def newline_after(raw: str) -> str:
    """Return a newline if the whitespace at the end of `raw` contains one, or ""."""
    return "\n" if "\n" in raw[len(raw.rstrip()) :] else ""


class OpenerTrust(NamedTuple):
    """What is known about the model's use of an opener."""

    # The template, the model's name or the user's settings indicate that the model writes it.
    own: bool = False
    # The template is known, and contains no opener of the dialects that use this opener.
    foreign: bool = False
    weak: bool = False  # the opener consists of ordinary words, and is not the model's own


def is_quotation(line: str) -> bool:
    """Return whether every call on a line that starts with `line` is quoted."""
    return any(pattern.match(line) for _, pattern in LINES)


def line_rule(line: str, trust: OpenerTrust, *, after_prose: bool) -> str:
    """Return the rule that refuses a call after `line`, the start of its line, or ""."""
    for rule, pattern in LINES:
        if pattern.match(line):
            return rule
    if not trust.own and LISTED.match(line):
        return "list"
    if not trust.own and after_prose and INDENTED.fullmatch(line):
        return "indented"
    return OTHER_DIALECT if trust.foreign and line.replace(CALL, "").strip() else ""


class QuoteMark(NamedTuple):
    """Mark that quotes the text up to its partner."""

    rule: str
    partners: tuple[str, ...]
    reaches: bool = False  # other text may be between the mark and the call
    in_paragraph: bool = True  # the partner must be in the same paragraph


def _marks() -> Iterator[tuple[str, QuoteMark]]:
    for pair in (
        "“”",
        "‹›",
        "›‹",
        "«»",
        "»«",
        "「」",
        "『』",
        "《》",
        "〈〉",
        "〝〞",
        '""',
        '„“”"',
    ):
        yield pair[0], QuoteMark("quotes", tuple(pair[1:]), reaches=True)
    for pair in ("‘’", "‚‘’", "''"):  # an apostrophe looks the same
        yield pair[0], QuoteMark("quotes", tuple(pair[1:]))
    for pair in ("()", "[]", "（）", "［］"):
        yield pair[0], QuoteMark("brackets", (pair[1],), reaches=True)
    for pair in ("{}", "｛｝", "【】", "〔〕", "<>"):
        yield pair[0], QuoteMark("brackets", (pair[1],))
    for run in ("*", "**", "***", "_", "__", "~~"):
        yield run, QuoteMark("emphasis", (run,), reaches=run == "**")
    for tag in ("code", "pre", "kbd", "samp", "tt"):
        yield f"<{tag}>", QuoteMark(CODE, (f"</{tag}>",))
    for tag in ("q", "blockquote", "b", "i", "em", "strong", "s", "del", "td", "p"):
        yield f"<{tag}>", QuoteMark("quotes", (f"</{tag}>",))
    yield "|", QuoteMark("table", ("|",))


MARKS: Mapping[str, QuoteMark] = dict(_marks())
_COMMENT = QuoteMark(COMMENT, ("-->",), in_paragraph=False)
TOUCHING = frozenset({"*", "**", "***", "_", "__", "~~", "<"})
"""Marks that quote only the text directly after them."""
_LITERALS = sorted(
    {*MARKS, *(partner for mark in MARKS.values() for partner in mark.partners)},
    key=len,
    reverse=True,
)
_LETTERS = "".join(re.escape(one) for one in _LITERALS if len(one) == 1 and one not in "*_<")
_TAGS = "|".join(re.escape(one) for one in _LITERALS if one[0] == "<")
_ANY = re.compile(rf"(?=[*_~<{_LETTERS}])(?:[{_LETTERS}]|\*+|_+|~~|{_TAGS})")
_SPAN = re.compile(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)


def open_marks(line: str) -> list[tuple[str, int]]:
    """Return the marks in `line` that are not closed, each with its end position."""
    found: list[tuple[str, int]] = []
    awaited: Counter[str] = Counter()
    for met in _ANY.finditer(line):
        mark, before, behind = met.group(), line[: met.start()][-1:], line[met.end() :][:1]
        symmetric = mark in MARKS and mark in MARKS[mark].partners
        if awaited[mark] and not (symmetric and before.isspace()):
            partner = mark
            while partner:
                opened, _ = found.pop()
                awaited.subtract(MARKS[opened].partners)
                partner = "" if mark in MARKS[opened].partners else partner
        elif mark in MARKS and not (symmetric and (before.isalnum() or behind.isspace())):
            found.append((mark, met.end()))
            awaited.update(MARKS[mark].partners)
    return found


def watchers(paragraph: str) -> "list[QuoteWatcher]":
    """Return the watchers for a call, given the text before it in its paragraph."""
    text = _SPAN.sub(QUOTED, paragraph) if "`" in paragraph else paragraph
    found = [QuoteWatcher.partner(_COMMENT)] if text.rfind("<!--") > text.rfind("-->") else []
    bare = text.rstrip()
    begins = bare.rfind("\n") + 1
    same_line = "\n" not in text[len(bare) :]
    quoting = (
        MARKS[mark]
        for mark, end in open_marks(bare[begins:])
        if (MARKS[mark].reaches and same_line)
        or begins + end == (len(text) if mark in TOUCHING else len(bare))
    )
    return found + [QuoteWatcher.partner(mark) for mark in dict.fromkeys(quoting)]


_REST = re.compile(r"\n[ \t\r]*\Z|--?\Z|<[/a-z]*\Z|\S\Z|\Z")


class QuoteWatcher:
    """Watcher of the text after a call, which decides whether the call is quoted."""

    def __init__(self, rule: str, decides: str, *, when_cut: bool) -> None:
        self.rule = rule
        # Whether the call is text if the answer is cut before the decision.
        self.when_cut = when_cut
        self._decides = re.compile(decides)
        self._tail = CALL  # the last characters, if more text could still change their meaning

    @classmethod
    def partner(cls, mark: QuoteMark) -> "QuoteWatcher":
        """Return a watcher that refuses a call if the partner of `mark` follows it."""
        partners = "|".join(
            rf"(?<=\S){re.escape(one[0])}" if one[0] in "*_~" else re.escape(one)
            for one in mark.partners
        )
        over = r"|(?P<over>\n[ \t\r]*\n)" if mark.in_paragraph else ""
        return cls(mark.rule, rf"(?P<quoted>{partners}){over}", when_cut=True)

    @classmethod
    def rest_of_line(cls, rule: str) -> "QuoteWatcher":
        """Return a watcher that refuses a call if anything but calls follows on its line."""
        return cls(rule, rf"(?P<quoted>[^\s{CALL}])|(?P<over>\n)", when_cut=False)

    def feed(self, text: str) -> tuple[int, bool] | None:
        """Add text after the call.

        Return the position of the decision and whether the call is quoted, or None if undecided.
        """
        known, text = len(self._tail), self._tail + text
        if found := self._decides.search(text):
            return found.end() - known, found.lastgroup == "quoted"
        tail = _REST.search(text)
        self._tail = tail.group().rstrip(" \t\r") if tail else ""
        return None


class QuoteWatchers:
    """Watchers of calls that are held together."""

    def __init__(self) -> None:
        self._open: list[QuoteWatcher] = []

    def __bool__(self) -> bool:
        return bool(self._open)

    def add(self, more: Iterable[QuoteWatcher]) -> None:
        self._open += more

    def feed(self, text: str) -> str | None:
        """Add text after the calls.

        Return the rule that refuses the calls, "" if they are calls, or None if undecided.
        """
        seen = [(watch, watch.feed(text)) for watch in self._open]
        self._open = [watch for watch, decision in seen if decision is None]
        quoted = [(decision[0], watch.rule) for watch, decision in seen if decision and decision[1]]
        if quoted:
            return min(quoted)[1]  # the earliest decision, however the text was cut
        return None if self._open else ""

    def end(self, *, cut: bool) -> str:
        """Return the rule that refuses the calls at the end of the text, or ""."""
        return next((watch.rule for watch in self._open if cut and watch.when_cut), "")
