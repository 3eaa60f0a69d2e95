"""The text of an answer: prose, code, thoughts between tags, and the calls among them."""

import re

from proxy.stream.attempt import Attempts, Read, bounded
from proxy.stream.code import Code
from proxy.stream.desk import Desk, Held
from proxy.stream.dialect import A_NAME
from proxy.stream.events import Content
from proxy.stream.look import FENCES, Look
from proxy.stream.reader import WORD_LIMIT, Reader, Steps
from proxy.stream.thinking import Thinking

BOUNDARY = re.compile(r"[\n.!?:;…。！？]")
"""After one of these a later block of thoughts may begin; elsewhere in a line its tag is only mentioned."""


class Answer:
    """Reads the text of an answer to its end."""

    def __init__(self, desk: Desk, read: Reader, look: Look, *, forced: bool) -> None:
        self._desk, self._read, self._look = desk, read, look
        self.forced = forced  # the prompt has opened the thoughts already
        self._attempts = Attempts(desk, read)
        self._thinking = Thinking(desk, read, self._attempts, look.trials)
        self._code = Code()
        self._fresh = True  # nothing but blanks since the beginning, thoughts or a call
        self._silent = False  # in a part that has no calls
        self._framed = False  # a header was read: the tokens that end a part say nothing
        self._blanks: list[str] = []  # those
        self._last = "\n"
        self._joint = "\n"  # what joins the next thoughts to the last ones: nothing, if they stand side by side
        self._held: Held | None = None  # calls in code that may still be text
        self._entire = False  # what is held may be the whole message: a fence around calls, and nothing else
        self._closed = False  # that fence is closed
        self._line_blank = True

    def run(self) -> Steps[None]:
        if self.forced:
            yield from self._read.skip()
            opener = yield from self._read.take(*self._look.thoughts, *self._look.labels)
            yield from self._thinking.block(self._look.labels.get(opener, self._look.closers))
        while True:
            while self._fresh:
                yield from self._begin()
            self._joint = "\n"
            met = yield from self._read.find(self._look.prose if self._held is None else self._look.lines, self._say)
            if met is None:
                break
            yield from self._meet(met)
        self._over()

    # at the beginning, and after thoughts and calls

    def _begin(self) -> Steps[None]:
        blanks = yield from self._read.skip()
        if blanks:
            self._joint = "\n"
            self._code.see(blanks)
            self._blanks.append(blanks)
        met = yield from self._read.which(self._look.begin)
        if met in self._look.frames and self._held is None and (yield from self._frame(met)):
            return
        if met in self._look.thoughts and self._held is None:
            self._read.drop(len(met))
            yield from self._thoughts(met)
        elif met in self._look.closers and self._held is None and not self._desk.said and not self._desk.called:
            self._read.drop(len(met))
            self._desk.thought = True
        elif met in FENCES and (self._first() or (self._entire and self._closed)):
            self._fresh = yield from self._fence()
        else:
            self._fresh = yield from self._doubtful(met)

    def _first(self) -> bool:
        return not self._desk.said and not self._desk.called and self._held is None

    def _thoughts(self, opener: str) -> Steps[None]:
        yield from self._thinking.block(self._look.thoughts[opener], joint=self._joint)
        self._joint = ""
        self._fresh = True

    def _frame(self, header: str) -> Steps[bool]:
        """The header of a call, of thoughts, or of the answer."""
        trials = self._look.trials.get(header) or self._look.first_trials.get(header)
        if trials:
            read = yield from self._attempts.streamed(trials)
            if read:
                self._use(read)
                return True
        for frame in self._look.frames[header]:
            if frame is None:
                self._read.drop(len(header))
                return self._opened()
            mark = self._read.mark()
            region = yield from bounded(self._read, frame(self._read))
            if region is None:
                self._read.rewind(mark)
            self._read.release(mark)
            self._silent = bool(region and region.silent)
            if region and region.closers:
                self._framed = True
                yield from self._thinking.block(region.closers, region.before)
                return True
            if region:
                return self._opened()
        return False

    def _opened(self) -> bool:
        """What follows is the answer; blanks before it were none of it."""
        self._framed, self._blanks = True, []
        return True

    def _fence(self) -> Steps[bool]:
        """The first line of a message that is a fence: held if a call may follow it."""
        seen, more = self._read.ahead()
        while "\n" not in seen and more:
            yield
            seen, more = self._read.ahead()
        line = seen[: seen.find("\n") + 1]
        mark = self._read.mark()
        found = line and (yield from bounded(self._read, self._call_follows(line)))
        self._read.rewind(mark)
        self._read.release(mark)
        if found:
            self._read.drop(len(line))
            self._code.see(line)
            held = self._held or Held()
            held.add("".join(self._blanks) + line, ())
            self._hold(held, closed=False)
            self._blanks = []
        return bool(found)

    def _call_follows(self, line: str) -> Steps[bool]:
        self._read.drop(len(line))
        yield from self._read.skip()
        return bool((yield from self._read.which(self._look.fenced))) or (yield from self._named())

    def _named(self) -> Steps[bool]:
        return (yield from self._look.name(self._read, self._desk.tools))

    def _hold(self, held: Held, *, closed: bool) -> None:
        self._held, self._entire, self._closed, self._line_blank = held, True, closed, True

    def _doubtful(self, start: str) -> Steps[bool]:
        """A look at what has no certain marker. True if a call was read."""
        if start not in self._look.doubtful:
            if start or not (yield from self._named()):
                return False
            start = A_NAME
        for dialect in self._look.doubtful[start]:
            if dialect.doubtful is None or (dialect.alone and not (self._first() or self._entire)):
                continue
            read = yield from self._attempts.held([(dialect.name, dialect.doubtful)], self._held.size if self._held else 0)
            if read and not read.events:
                self._say(read.raw)
                return False
            if read and self._held is None and self._desk.echoes(read.events):
                read = Read(read.raw)
            if read:
                if dialect.alone and self._held is None:
                    self._hold(Held(), closed=True)
                self._called(read)
                return True
        return False

    # among the prose

    def _meet(self, met: str) -> Steps[None]:
        if met in self._look.trials and not self._code.inline and not self._silent:
            yield from self._call(met)
        elif met in self._look.thoughts and self._opens_thoughts():
            yield from self._thoughts(met)
        elif met in self._look.turns and (met in self._look.own_turns or self._markup or self._held is not None):
            yield from self._turn(met)
        else:
            if self._code.inline and met != "\n":
                self._code.quote()
            self._say(met)
            if met == "\n":
                self._line()

    @property
    def _markup(self) -> bool:
        """Whether the answer is more than its plain text."""
        return self._desk.called or self._desk.thought or self._framed

    def _opens_thoughts(self) -> bool:
        return self._desk.thought and not self._code.inline and not self._code.fenced and BOUNDARY.fullmatch(self._last) is not None

    def _call(self, opener: str) -> Steps[None]:
        self._read.back(len(opener))
        if self._closed:
            self._text()
        if self._code.fenced:
            self._held = self._held or Held()
            read = yield from self._attempts.held(self._look.trials[opener], self._held.size)
        else:
            read = yield from self._attempts.streamed(self._look.trials[opener])
        if read:
            self._use(read)
        else:
            self._read.drop(len(opener))
            self._say(opener)

    def _use(self, read: Read) -> None:
        if read.events or not read.raw:
            self._called(read)
        else:
            self._say(read.raw)

    def _called(self, read: Read) -> None:
        if self._held is not None:
            self._held.add("".join(self._blanks) + read.raw, read.events)
        elif read.events:
            self._desk.call(read.events)
        self._fresh, self._blanks, self._joint = True, [], "\n"

    def _turn(self, token: str) -> Steps[None]:
        """Tokens that end a turn say nothing, at the end; nor at the end of a part, where parts have headers."""
        tail, size = [token], len(token)
        while size < WORD_LIMIT and (more := (yield from self._read.skip()) + (yield from self._take_turn())):
            tail.append(more)
            size += len(more)
        if not (yield from self._read.next()):
            if self._held is not None:
                self._held.add("".join(tail), ())
        elif self._framed and self._held is None and (yield from self._read.which(self._look.part)):
            self._fresh, self._blanks = True, []
        else:
            self._say("".join(tail))

    def _take_turn(self) -> Steps[str]:
        token = yield from self._read.which(self._look.tail)
        self._read.drop(len(token))
        return token

    # what is shown

    def _say(self, text: str) -> None:
        """Text of the answer, word for word; all that was read and is no call comes here."""
        if self._fresh or self._blanks:
            text = self._led(text)
        self._code.see(text)
        self._last = text[-1]
        if self._held is None:
            self._desk.say(text)
            return
        self._held.add(text, [Content(text)])
        if text.strip():
            self._line_blank = False
            if self._closed or not self._held.called:
                self._text()
        if self._held is not None and self._held.size > self._read.limit:
            self._text()

    def _led(self, text: str) -> str:
        """With the blanks before it. Empty lines between thoughts, or a call, and the first words of an answer are no part of it."""
        blanks = "".join(self._blanks)
        self._fresh, self._blanks = False, []
        if not self._desk.said and (self._desk.called or self._desk.thought) and self._held is None:
            blanks = blanks[blanks.rfind("\n") + 1 :]
        return blanks + text

    def _line(self) -> None:
        """A line is complete while something is held: it may have closed the fence."""
        if self._held is not None:
            if not self._code.fenced and not self._closed:
                self._closed = self._fresh = True
                if not self._entire:
                    self._text()
            elif not self._line_blank:
                self._entire = False
        self._line_blank = True

    def _text(self) -> None:
        """What was held is text."""
        held, self._held = self._held, None
        self._entire = self._closed = False
        self._desk.say(held.raw if held else "")

    def _over(self) -> None:
        self._code.end()
        self._line()
        if self._held is not None:
            self._held.add("".join(self._blanks), ())
            if self._read.cut:
                self._text()
            elif self._entire:
                self._desk.call(self._held.calls)
            else:
                self._desk.call(self._held.events)
        elif not self._desk.called and not self._desk.thought:
            self._desk.say("".join(self._blanks))
