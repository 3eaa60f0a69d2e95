"""A raw value between tags: it ends at the closing tag that is proven by what follows it.

Any other is part of the text.

A text may itself tell how calls are written. While a function tag stands open in it, the closers
that follow may belong to that one: what comes then is held, and if no other end comes it was the
end.
"""

import re
from io import StringIO

from proxy.parsing.calls import Calls
from proxy.parsing.grammars.raw_values import RawValue
from proxy.parsing.grammars.xml_layout import Layout
from proxy.parsing.markers import compiled
from proxy.parsing.reader import Reader, Steps
from proxy.parsing.window import Mark

QUOTING = " \t\"'`("
"""After one of these a tag is only mentioned."""
SECTION, SECTION_END = "<![CDATA[", "]]>"
DOUBT_LIMIT = 1 << 20
"""So much is held behind a doubtful end. Beyond it, it was none."""


class Value:
    def __init__(self, read: Reader, calls: Calls, layout: Layout, tag: re.Match[str]) -> None:
        self._read, self._layout, self._declared, self._tools = (
            read,
            layout,
            calls.kinds,
            calls.tools,
        )
        self._out = RawValue(calls, tag[1], layout.edge, tag.groupdict().get("type"))
        self._given = calls.keys
        self._last = "\n"
        self._parameters = 0  # parameter tags in the text that are still open
        self._functions = 0  # function tags
        self._doubt: Mark | None = None  # where a doubtful end stands
        self._weak = False  # text followed its call: a later doubtful end is more likely
        self._behind = StringIO()  # what was read since
        self._limit = min(DOUBT_LIMIT, read.limit // 2)

    def read(self) -> Steps[bool]:
        """False if it broke off."""
        layout = self._layout
        if layout.sections and (yield from self._section_begins()):
            return (yield from self._section())
        self._out.lead((yield from self._read.take("\r\n", "\n")))
        while met := (yield from self._read.inside(layout.stops, self._write)):
            if met in layout.value_closers:
                over = yield from self._closed(met)
            elif met == layout.parameter.begins:
                over = yield from self._next_begins(met)
            elif met == layout.function.begins:
                over = yield from self._function_begins(met)
            else:
                over = yield from self._function_ends(met)
            if over:
                self._believe()
                if met not in layout.value_closers:
                    self._out.unclosed()
                self._out.end()
                return True
        if self._doubt is None or self._read.cut:
            self._believe()
            return False
        self._read.rewind(self._doubt)
        self._read.release(self._doubt)
        while (yield from self._read.take(*layout.value_closers)):
            yield from layout.gap(self._read)
        self._out.end()
        return True

    def _section_begins(self) -> Steps[bool]:
        here = self._read.mark()
        yield from self._read.skip()
        begins = (yield from self._read.take(SECTION)) != ""
        if not begins:
            self._read.rewind(here)
        self._read.release(here)
        return begins

    def _section(self) -> Steps[bool]:
        """A CDATA section, or several: word for word, up to the end that a closing tag follows."""
        known = compiled((SECTION_END,))
        while (yield from self._read.inside(known, self._out.write)):
            if (yield from self._read.take(SECTION)):
                continue
            blanks = yield from self._read.skip()
            if (yield from self._read.take(*self._layout.value_closers)):
                self._out.end()
                return True
            self._out.write(SECTION_END + blanks)
        return False

    def _write(self, text: str) -> None:
        if not text:
            return
        self._last = text[-1]
        if self._doubt is None:
            self._out.write(text)
            return
        self._behind.write(text)
        if self._behind.tell() > self._limit:
            self._believe()

    def _believe(self) -> None:
        """The doubtful end was none: what was read behind it belongs to the value."""
        if self._doubt is not None:
            self._read.release(self._doubt)
            self._doubt, self._weak = None, False
            self._out.write(self._behind.getvalue())
            self._behind = StringIO()

    def _closed(self, closer: str) -> Steps[bool]:
        """A closing tag, or a row of them: whoever doubles it means one."""
        self._read.back(len(closer))
        here = self._read.mark()
        self._read.drop(len(closer))
        row = [closer]
        gap = yield from self._layout.gap(self._read)
        while met := (yield from self._read.take(*self._layout.value_closers)):
            row.append(gap + met)
            gap = yield from self._layout.gap(self._read)
        over = yield from self._proven()
        doubtful = (
            over
            and self._functions > 0
            and not self._read.tired
            and (yield from self._read.next()) != ""
        )
        if doubtful and (self._doubt is None or self._weak):
            self._believe()
            self._doubt = here
        else:
            self._read.release(here)
        over = over and not doubtful
        if over:
            self._write("".join(row[: min(self._parameters, len(row) - 1)]))
            return True
        self._parameters = max(0, self._parameters - len(row))
        self._write("".join(row) + gap)
        return False

    def _proven(self) -> Steps[bool]:
        layout, here = self._layout, self._read.mark()
        over = yield from layout.over(self._read)
        self._read.rewind(here)  # what the half tag says is decided with the call
        self._read.release(here)
        if over:
            return True
        if (yield from self._read.peek(*layout.function_closers, *layout.closers)):
            return (yield from self._closes())
        if (yield from self._function_follows()):
            return True
        parameter = yield from layout.parameter_at(self._read)
        if not parameter or parameter[1] in self._given:
            return False
        return parameter[1] in self._declared or not self._parameters

    def _closes(self) -> Steps[bool]:
        """Whether the closers that come are meant: not before a quote, as in a string of some
        program, nor if only a wrong one comes.
        """
        layout, here = self._layout, self._read.mark()
        right = layout.proven_closers
        met = yield from self._read.take(*layout.function_closers, *layout.closers)
        certain = met in right
        while met:
            letter = yield from self._read.next()
            if not certain:
                yield from layout.gap(self._read)
            met = yield from self._read.take(*layout.function_closers, *layout.closers)
            certain = certain or met in right
        certain = (
            certain or not (yield from self._read.next()) or (yield from self._function_follows())
        )
        self._read.rewind(here)
        self._read.release(here)
        return certain and (letter == "" or letter not in "\"'`")

    def _function_follows(self) -> Steps[bool]:
        """Whether the next call begins here, all other closing tags forgotten."""
        here = self._read.mark()
        while (yield from self._read.take(*self._layout.openers)):
            yield from self._layout.gap(self._read)
        function = yield from self._layout.function.at(self._read)
        self._read.rewind(here)
        self._read.release(here)
        return (
            function is not None
            and self._tools.declared(self._layout.function.name(function)) is not None
        )

    def _next_begins(self, opener: str) -> Steps[bool]:
        """The next parameter, this one's closing tag forgotten; or only a mention."""
        self._read.back(len(opener))
        parameter = yield from self._layout.parameter.at(self._read)
        if (
            parameter
            and parameter[1] in self._declared
            and parameter[1] not in self._given
            and self._last not in QUOTING
            and not self._functions
        ):
            return True
        if (yield from self._layout.parameter.half(self._read)):
            return False
        if self._layout.function.begins == opener and (
            yield from self._layout.function.at(self._read)
        ):
            self._functions += 1
        else:
            self._parameters += 1
        self._read.drop(len(opener))
        self._write(opener)
        return False

    def _function_begins(self, opener: str) -> Steps[bool]:
        """A call that the text tells of, or a mention."""
        self._read.back(len(opener))
        self._functions += (yield from self._layout.function.at(self._read)) is not None
        self._read.drop(len(opener))
        self._write(opener)
        return False

    def _function_ends(self, closer: str) -> Steps[bool]:
        """The end of the call, the closing tag of its last value forgotten; or of a call that
        the text tells of; or a mention.
        """
        self._read.back(len(closer))
        here = self._read.mark()
        self._read.drop(len(closer))
        gap = yield from self._read.skip()
        plain = self._last not in QUOTING
        over = plain and (yield from self._nothing_else())
        if self._doubt is not None:
            self._weak, over = self._weak or not over, False
        if self._functions and closer in self._layout.function_closers:
            self._functions -= plain
            over = over and not (yield from self._read.next())
        if over:
            self._read.rewind(here)
        self._read.release(here)
        if not over:
            self._write(closer + gap)
        return over

    def _nothing_else(self) -> Steps[bool]:
        if not (yield from self._read.next()):
            return not self._read.cut
        return bool((yield from self._read.peek(*self._layout.closers))) or (
            yield from self._function_follows()
        )
