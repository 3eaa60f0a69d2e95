"""Reader for a raw text value between tags.

The value ends at a closing tag if the text after that tag confirms it. Any other closing tag is
part of the value.

A value may itself contain an example of a call. While a function tag is open in the value, a
closing tag may belong to that example. Its position is then only a tentative end: the text after it
is buffered, and if no better end follows, the value ended there.
"""

import re
from io import StringIO

from proxy.parsing.calls import CallWriter
from proxy.parsing.grammars.raw_values import RawValue
from proxy.parsing.grammars.xml_layout import XmlFormat
from proxy.parsing.markers import compiled
from proxy.parsing.reader import Reader, Steps
from proxy.parsing.window import Mark

QUOTE_CHARS = " \t\"'`("
"""Characters before a tag that is quoted in a text and does not act as markup."""
SECTION, SECTION_END = "<![CDATA[", "]]>"
TENTATIVE_LIMIT = 1 << 20
"""Characters buffered after a tentative end; if more follow, the value did not end there."""


class XmlValueReader:
    """Reader for the value of the parameter that `tag` opens; writes it to the open call."""

    def __init__(
        self, reader: Reader, calls: CallWriter, xml_format: XmlFormat, tag: re.Match[str]
    ) -> None:
        self._reader, self._format, self._declared, self._tools = (
            reader,
            xml_format,
            calls.kinds,
            calls.tools,
        )
        self._out = RawValue(calls, tag[1], xml_format.edge, tag.groupdict().get("type"))
        self._given = calls.keys
        self._last = "\n"
        self._parameters = 0  # parameter tags opened inside the value and not closed
        self._functions = 0  # function tags opened inside the value and not closed
        self._tentative_end: Mark | None = None  # closing tag that may be the end
        self._weak = False  # the call did not end there: prefer a later end
        self._behind = StringIO()  # text read after the tentative end
        self._limit = min(TENTATIVE_LIMIT, reader.limit // 2)

    def read(self) -> Steps[bool]:
        """Read the value and its closing tag; return False if it is incomplete."""
        xml_format = self._format
        if xml_format.sections and (yield from self._section_begins()):
            return (yield from self._section())
        self._out.set_lead((yield from self._reader.take("\r\n", "\n")))
        while met := (yield from self._reader.find_inside(xml_format.stops, self._write)):
            if met in xml_format.value_closers:
                over = yield from self._on_value_closer(met)
            elif met == xml_format.parameter.begins:
                over = yield from self._on_parameter(met)
            elif met == xml_format.function.begins:
                over = yield from self._on_function(met)
            else:
                over = yield from self._on_function_closer(met)
            if over:
                self._accept_text()
                if met not in xml_format.value_closers:
                    self._out.unclosed()
                self._out.end()
                return True
        if self._tentative_end is None or self._reader.cut:
            self._accept_text()
            return False
        self._reader.rewind(self._tentative_end)
        self._reader.release(self._tentative_end)
        while (yield from self._reader.take(*xml_format.value_closers)):
            yield from xml_format.skip_gap(self._reader)
        self._out.end()
        return True

    def _section_begins(self) -> Steps[bool]:
        """Read the opening of a CDATA section; return whether there is one."""
        here = self._reader.mark()
        yield from self._reader.skip_blanks()
        begins = (yield from self._reader.take(SECTION)) != ""
        if not begins:
            self._reader.rewind(here)
        self._reader.release(here)
        return begins

    def _section(self) -> Steps[bool]:
        """Read one or more CDATA sections verbatim, and the closing tag after the last one.

        Return False if there is no such end.
        """
        known = compiled((SECTION_END,))
        while (yield from self._reader.find_inside(known, self._out.write)):
            if (yield from self._reader.take(SECTION)):
                continue
            blanks = yield from self._reader.skip_blanks()
            if (yield from self._reader.take(*self._format.value_closers)):
                self._out.end()
                return True
            self._out.write(SECTION_END + blanks)
        return False

    def _write(self, text: str) -> None:
        """Add text to the value, or to the buffer after a tentative end."""
        if not text:
            return
        self._last = text[-1]
        if self._tentative_end is None:
            self._out.write(text)
            return
        self._behind.write(text)
        if self._behind.tell() > self._limit:
            self._accept_text()

    def _accept_text(self) -> None:
        """Drop the tentative end and add the text after it to the value."""
        if self._tentative_end is not None:
            self._reader.release(self._tentative_end)
            self._tentative_end, self._weak = None, False
            self._out.write(self._behind.getvalue())
            self._behind = StringIO()

    def _on_value_closer(self, closer: str) -> Steps[bool]:
        """Handle a closing tag of the value, or several in a row; return whether the value ends.

        A repeated closing tag counts as one.
        """
        self._reader.back(len(closer))
        here = self._reader.mark()
        self._reader.advance(len(closer))
        row = [closer]
        gap = yield from self._format.skip_gap(self._reader)
        while met := (yield from self._reader.take(*self._format.value_closers)):
            row.append(gap + met)
            gap = yield from self._format.skip_gap(self._reader)
        over = yield from self._proven()
        doubtful = (
            over
            and self._functions > 0
            and not self._reader.over_budget
            and (yield from self._reader.peek_char()) != ""
        )
        if doubtful and (self._tentative_end is None or self._weak):
            self._accept_text()
            self._tentative_end = here
        else:
            self._reader.release(here)
        over = over and not doubtful
        if over:
            self._write("".join(row[: min(self._parameters, len(row) - 1)]))
            return True
        self._parameters = max(0, self._parameters - len(row))
        self._write("".join(row) + gap)
        return False

    def _proven(self) -> Steps[bool]:
        """Return whether the text after a closing tag confirms the end of the value."""
        xml_format, here = self._format, self._reader.mark()
        over = yield from xml_format.at_end(self._reader)
        self._reader.rewind(here)  # the end of the call judges a partial tag
        self._reader.release(here)
        if over:
            return True
        if (yield from self._reader.peek(*xml_format.function_closers, *xml_format.closers)):
            return (yield from self._closers_are_real())
        if (yield from self._function_follows()):
            return True
        parameter = yield from xml_format.match_parameter(self._reader)
        if not parameter or parameter[1] in self._given:
            return False
        return parameter[1] in self._declared or not self._parameters

    def _closers_are_real(self) -> Steps[bool]:
        """Return whether the closing tags of the call that come next are markup; read nothing.

        They are not if a quote follows, as in the source code of a program, or if they are only
        mistaken closers with more text after them.
        """
        xml_format, here = self._format, self._reader.mark()
        right = xml_format.proven_closers
        met = yield from self._reader.take(*xml_format.function_closers, *xml_format.closers)
        certain = met in right
        while met:
            letter = yield from self._reader.peek_char()
            if not certain:
                yield from xml_format.skip_gap(self._reader)
            met = yield from self._reader.take(*xml_format.function_closers, *xml_format.closers)
            certain = certain or met in right
        certain = (
            certain
            or not (yield from self._reader.peek_char())
            or (yield from self._function_follows())
        )
        self._reader.rewind(here)
        self._reader.release(here)
        return certain and (letter == "" or letter not in "\"'`")

    def _function_follows(self) -> Steps[bool]:
        """Return whether a call to a declared tool begins here; read nothing."""
        here = self._reader.mark()
        while (yield from self._reader.take(*self._format.openers)):
            yield from self._format.skip_gap(self._reader)
        function = yield from self._format.function.match(self._reader)
        self._reader.rewind(here)
        self._reader.release(here)
        return (
            function is not None
            and self._tools.resolve(self._format.function.name(function)) is not None
        )

    def _on_parameter(self, opener: str) -> Steps[bool]:
        """Handle an opening parameter tag; return whether the value ends before it.

        It does if the tag opens another declared parameter, so that the closing tag is missing.
        Otherwise the tag is part of the value.
        """
        self._reader.back(len(opener))
        parameter = yield from self._format.parameter.match(self._reader)
        if (
            parameter
            and parameter[1] in self._declared
            and parameter[1] not in self._given
            and self._last not in QUOTE_CHARS
            and not self._functions
        ):
            return True
        if (yield from self._format.parameter.take_partial(self._reader)):
            return False
        if self._format.function.begins == opener and (
            yield from self._format.function.match(self._reader)
        ):
            self._functions += 1
        else:
            self._parameters += 1
        self._reader.advance(len(opener))
        self._write(opener)
        return False

    def _on_function(self, opener: str) -> Steps[bool]:
        """Handle an opening function tag inside the value; it never ends the value."""
        self._reader.back(len(opener))
        self._functions += (yield from self._format.function.match(self._reader)) is not None
        self._reader.advance(len(opener))
        self._write(opener)
        return False

    def _on_function_closer(self, closer: str) -> Steps[bool]:
        """Handle a closing tag of the call; return whether the value ends before it.

        It does if the closing tag of the value is missing. Otherwise the tag closes an example of a
        call in the value, or is quoted in it.
        """
        self._reader.back(len(closer))
        here = self._reader.mark()
        self._reader.advance(len(closer))
        gap = yield from self._reader.skip_blanks()
        plain = self._last not in QUOTE_CHARS
        over = plain and (yield from self._call_ends_here())
        if self._tentative_end is not None:
            self._weak, over = self._weak or not over, False
        if self._functions and closer in self._format.function_closers:
            self._functions -= plain
            over = over and not (yield from self._reader.peek_char())
        if over:
            self._reader.rewind(here)
        self._reader.release(here)
        if not over:
            self._write(closer + gap)
        return over

    def _call_ends_here(self) -> Steps[bool]:
        """Return whether the text ends, the block closes or another call begins here."""
        if not (yield from self._reader.peek_char()):
            return not self._reader.cut
        return bool((yield from self._reader.peek(*self._format.closers))) or (
            yield from self._function_follows()
        )
