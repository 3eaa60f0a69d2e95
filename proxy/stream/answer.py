"""The text of an answer: prose, code, thoughts between tags, and the calls among them."""

import re
from collections.abc import Sequence

from proxy.stream.attempt import Attempts, Read
from proxy.stream.code_span import CodeSpan
from proxy.stream.desk import Desk, Held
from proxy.stream.dialect import A_NAME, Dialect
from proxy.stream.events import Content
from proxy.stream.look import FENCES, Look
from proxy.stream.quoting import BARE, CODE, QUOTED
from proxy.stream.reader import HELD_LIMIT, WORD_LIMIT, Reader, Steps
from proxy.stream.surroundings import REAL, Surroundings, Watch
from proxy.stream.thinking import Thinking

BOUNDARY = re.compile(r"[\n.!?:;…。！？]")
"""After one of these a later block of thoughts may begin; elsewhere in a line its tag is only mentioned."""


class Answer:
    """Reads the text of an answer to its end."""

    def __init__(self, desk: Desk, read: Reader, look: Look, *, forced: bool) -> None:
        self._desk, self._read, self._look = desk, read, look
        self.forced = forced  # the prompt has opened the thoughts already
        self._attempts = Attempts(desk, read)
        self._thinking = Thinking(desk, read, self._attempts, look)
        self._around = Surroundings(look)
        self._span: CodeSpan | None = None  # inline code with a marker in it
        self._fresh = True  # nothing but blanks since the beginning, thoughts or a call
        self._silent = False  # in a part that has no calls
        self._framed = False  # a header was read: the tokens that end a part say nothing
        self._blanks: list[str] = []  # those
        self._held: Held | None = None  # calls that may still be text: in code, or quoted
        self._entire = False  # what is held may be the whole message: bare calls, or a fence around calls, and nothing else
        self._bare = False  # bare calls
        self._closed = False  # the fence is closed, or there is none
        self._line_blank = True

    def run(self) -> Steps[None]:
        if self.forced:
            yield from self._read.skip()
            yield from self._read.take(*self._look.thoughts)
            yield from self._thinking.block(self._look.closers)
        while True:
            while self._fresh:
                yield from self._begin()
            met = yield from self._read.find(self._look.prose if self._held is None else self._look.lines, self._say)
            if met is None:
                break
            yield from self._meet(met)
        self._over()

    # at the beginning, and after thoughts and calls

    def _begin(self) -> Steps[None]:
        blanks = yield from self._read.skip()
        if blanks:
            self._around.see(blanks)
            self._blanks.append(blanks)
            self._watch(blanks)
        met = yield from self._read.which(self._look.begin)
        if met in self._look.frames or met in self._look.thoughts:
            self._boundary()
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
        yield from self._thinking.block((self._look.thoughts[opener],))
        self._around.boundary()
        self._fresh = True

    def _frame(self, header: str) -> Steps[bool]:
        """The header of a call, of thoughts, or of the answer."""
        if header in self._look.trials and (yield from self._attempt(header)):
            return True
        for frame in self._look.frames[header]:
            if frame is None:
                self._read.drop(len(header))
                return self._opened()
            mark = self._read.mark()
            region = yield from frame(self._read)
            if region is None:
                self._read.rewind(mark)
            self._read.release(mark)
            self._silent = bool(region and region.silent)
            if region and region.closers:
                self._framed = True
                yield from self._thinking.block(region.closers, region.before)
                self._around.boundary()
                return True
            if region:
                return self._opened()
        return False

    def _opened(self) -> bool:
        """What follows is the answer; blanks before it were none of it."""
        self._framed, self._blanks = True, []
        self._around.boundary()
        return True

    def _fence(self) -> Steps[bool]:
        """The first line of a message that is a fence: held if a call may follow it."""
        seen, more = self._read.ahead()
        while "\n" not in seen and more:
            yield
            seen, more = self._read.ahead()
        line = seen[: seen.find("\n") + 1]
        mark = self._read.mark()
        self._read.drop(len(line))
        yield from self._read.skip()
        found = line and ((yield from self._read.which(self._look.fenced)) or (yield from self._named()))
        self._read.rewind(mark)
        self._read.release(mark)
        if found:
            self._read.drop(len(line))
            self._around.see(line)
            held = self._held or Held()
            held.add("".join(self._blanks) + line, ())
            self._hold(held, closed=False)
            self._blanks = []
        return bool(found)

    def _named(self) -> Steps[bool]:
        return (yield from self._look.name(self._read, self._desk.tools.names))

    def _hold(self, held: Held, *, closed: bool) -> None:
        self._held, self._entire, self._closed, self._line_blank = held, True, closed, True

    def _alone(self, dialect: Dialect) -> bool:
        """Whether a bare call of this dialect counts only if nothing but calls is in the message."""
        return dialect.alone or dialect.name not in self._look.own

    def _may_be_whole(self, dialect: Dialect) -> bool:
        """Whether the message may be nothing but calls; behind others the opener of one may have been lost."""
        return self._entire or (self._first() if dialect.alone else not self._desk.said and self._held is None)

    def _doubtful(self, start: str) -> Steps[bool]:
        """A look at what has no certain marker. True if a call was read."""
        if start not in self._look.doubtful:
            if start or not (yield from self._named()):
                return False
            start = A_NAME
        for dialect in self._look.doubtful[start]:
            if dialect.doubtful is None or (self._alone(dialect) and not self._may_be_whole(dialect)):
                continue
            read = yield from self._attempts.held([(dialect.name, dialect.doubtful)], self._held.size if self._held else 0)
            if read and read.rule:
                self._refuse(read.raw, read.rule, read.count)
            elif read and not read.events:
                self._say(read.raw)
            elif read:
                if self._alone(dialect) and self._held is None:
                    self._hold(Held(), closed=True)
                    self._bare = True
                self._called(read)
                return True
            if read:
                return False
        return False

    # among the prose

    def _meet(self, met: str) -> Steps[None]:
        inline = self._around.code.inline
        if met in self._look.trials and not inline and not self._silent:
            yield from self._call(met)
        elif met in self._look.thoughts and self._opens_thoughts():
            yield from self._thoughts(met)
        elif met in self._look.turns and (self._desk.called or self._desk.thought or self._framed or self._held is not None):
            yield from self._turn(met)
        else:
            if inline and met != "\n":
                self._around.code.quote()
            if inline and met in self._look.trials and self._span is None:
                self._span = CodeSpan(self._desk.tools, self._look.trials[met])
            self._say(met)
            self._around.token(met)
            if met == "\n":
                self._line()

    def _opens_thoughts(self) -> bool:
        code = self._around.code
        return self._desk.thought and not code.inline and not code.fenced and BOUNDARY.fullmatch(self._around.last) is not None

    def _call(self, opener: str) -> Steps[None]:
        self._read.back(len(opener))
        if self._closed and not self._bare:
            self._text(CODE)
        if not (yield from self._attempt(opener)):
            self._read.drop(len(opener))
            self._say(opener)

    def _attempt(self, opener: str) -> Steps[bool]:
        """Read a call, or its text where a rule says so. False: neither comes, and nothing was read."""
        fenced, trials = self._around.code.fenced, self._look.trials[opener]
        if fenced:
            self._held = self._held or Held()
        rule, watches = REAL if fenced else self._around.judge(opener, after_prose=self._desk.said or self._held is not None)
        if self._held is None and not rule and not watches:
            read = yield from self._attempts.streamed(trials, opener)
        else:
            read = yield from self._attempts.held(trials, self._held.size if self._held else 0, opener)
        if read is None:
            return False
        if read.rule or (rule and read.events):
            self._refuse(read.raw, rule or read.rule, read.count)
        elif read.events or not read.raw:
            self._called(read, watches)
        else:
            self._say(read.raw)
        return True

    def _called(self, read: Read, watches: Sequence[Watch] = ()) -> None:
        self._around.called()
        if watches:
            self._held = self._held or Held()
            self._held.watches.add(watches)
        if self._held is not None:
            self._held.add("".join(self._blanks) + read.raw, read.events)
        elif read.events:
            self._desk.call(read.events)
        self._fresh, self._blanks = True, []

    def _turn(self, token: str) -> Steps[None]:
        """Tokens that end a turn say nothing, at the end; nor at the end of a part, where parts have headers."""
        tail, size = [token], len(token)
        while size < WORD_LIMIT and (more := (yield from self._read.skip()) + (yield from self._take_turn())):
            tail.append(more)
            size += len(more)
        if not (yield from self._read.next()):
            if self._held is not None:
                self._held.add("".join(tail), ())
            return
        if token in self._look.boundaries:
            self._boundary()
        if self._framed and self._held is None and (yield from self._read.which(self._look.part)):
            self._fresh, self._blanks = True, []
            self._around.boundary()
        else:
            self._say("".join(tail))
            self._around.token(token)

    def _take_turn(self) -> Steps[str]:
        token = yield from self._read.which(self._look.tail)
        self._read.drop(len(token))
        return token

    # what is shown

    def _say(self, text: str) -> None:
        """Text of the answer, word for word; all that was read and is no call comes here."""
        self._show(text, text)

    def _refuse(self, raw: str, rule: str, count: int) -> None:
        """A call that is text, by a rule. No rule looks inside it."""
        self._desk.quoted[rule] += count
        self._show(raw, QUOTED)

    def _show(self, text: str, seen: str) -> None:
        """Show a text; `seen` stands for it where rules read it."""
        self._around.see(seen)
        if self._span is not None and self._span.see(text, self._around.code):
            self._desk.quoted[CODE] += self._span.count
            self._span = None
        if self._fresh or self._blanks:
            text = self._led(text)
        if self._held is None:
            self._desk.say(text)
            return
        self._held.add(text, [Content(text)])
        if self._held.watches:
            self._watch(seen)
        elif text.strip():
            self._line_blank = False
            if self._closed or not self._held.count:
                self._text(BARE if self._bare else CODE)
        if self._held is not None and self._held.size > HELD_LIMIT:
            self._text()

    def _watch(self, seen: str) -> None:
        """What follows a call that may be quoted."""
        if self._held is not None and self._held.watches:
            rule = self._held.watches.see(seen)
            if rule is not None:
                self._decide(rule)

    def _boundary(self) -> None:
        """A part of the message is over: no partner of a quotation mark follows in it."""
        if self._held is not None and self._held.watches:
            self._decide(self._held.watches.end(cut=False))

    def _decide(self, rule: str) -> None:
        """What was held is text, by a rule, or what it was read as."""
        if rule:
            self._text(rule)
        elif self._held is not None:
            held, self._held = self._held, None
            self._desk.call(held.events)

    def _led(self, text: str) -> str:
        """With the blanks before it. Empty lines between thoughts, or a call, and the first words of an answer are no part of it."""
        blanks = "".join(self._blanks)
        self._fresh, self._blanks = False, []
        if not self._desk.said and (self._desk.called or self._desk.thought) and self._held is None:
            blanks = blanks[blanks.rfind("\n") + 1 :]
        return blanks + text

    def _line(self) -> None:
        """A line is complete while something is held: it may have closed the fence."""
        if self._held is not None and not self._held.watches:
            if not self._around.code.fenced and not self._closed:
                self._closed = self._fresh = True
                if not self._entire:
                    self._text(CODE)
            elif not self._line_blank:
                self._entire = False
        self._line_blank = True

    def _text(self, rule: str = "") -> None:
        """What was held is text; by a rule, or because the answer was cut or too much was held."""
        held, self._held = self._held, None
        self._entire = self._closed = self._bare = False
        if held is not None:
            if rule and held.count:
                self._desk.quoted[rule] += held.count
            self._desk.say(held.raw)

    def _over(self) -> None:
        self._around.code.end()
        self._line()
        if self._span is not None and self._span.end():
            self._desk.quoted[CODE] += self._span.count
        if self._held is not None:
            self._held.add("".join(self._blanks), ())
            if self._held.watches:
                self._decide(self._held.watches.end(cut=self._read.cut))
            elif self._read.cut:
                self._text()
            elif self._entire:
                self._desk.call(self._held.calls)
            elif self._held.ends_in_text:
                self._text(CODE)
            else:
                self._desk.call(self._held.events)
        elif not self._desk.called and not self._desk.thought:
            self._desk.say("".join(self._blanks))
