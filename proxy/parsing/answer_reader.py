"""The text of an answer: prose, code, thoughts between tags, and the calls among them."""

import re
from collections.abc import Sequence

from proxy.parsing.call_context import Judgement, Surroundings
from proxy.parsing.code_span import CodeSpan
from proxy.parsing.dialect import A_NAME, Dialect
from proxy.parsing.event_buffer import Desk
from proxy.parsing.grammar_runner import Attempts, Read, Trial, bounded
from proxy.parsing.marker_index import FENCES, Look
from proxy.parsing.quoting import BARE, CODE, QUOTED, Watch, newline_behind
from proxy.parsing.reader import WORD_LIMIT, Reader, Steps
from proxy.parsing.reasoning_reader import Thinking
from proxy.parsing.undecided_calls import Holding

BOUNDARY = re.compile(r"[\n.!?:;…。！？]")
"""After one of these a later block of thoughts may begin; elsewhere in a line its tag is only
mentioned.
"""


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
        # What joins the next thoughts to the last ones: nothing, if they stand side by side.
        self._joint = "\n"
        self._held = Holding(desk, self._around.code, read.limit)

    def run(self) -> Steps[None]:
        if self.forced:
            yield from self._read.skip()
            opener = yield from self._read.take(*self._look.thoughts, *self._look.labels)
            yield from self._thinking.block(self._look.labels.get(opener, self._look.closers))
        while True:
            while self._fresh:
                yield from self._begin()
            self._joint = "\n"
            met = yield from self._read.find(
                self._look.lines if self._held else self._look.prose, self._say
            )
            if met is None:
                break
            yield from self._meet(met)
        self._over()

    # at the beginning, and after thoughts and calls

    def _begin(self) -> Steps[None]:
        blanks = yield from self._read.skip()
        if blanks:
            self._joint = "\n"
            self._around.see(blanks)
            self._blanks.append(blanks)
            self._held.watch(blanks)
        met = yield from self._read.which(self._look.begin)
        if met in self._look.frames or met in self._look.thoughts:
            self._held.boundary()
        if met in self._look.frames and not self._held and (yield from self._frame(met)):
            return
        if met in self._look.thoughts and not self._held:
            self._read.drop(len(met))
            yield from self._thoughts(met)
        elif (
            met in self._look.closers
            and not self._held
            and not self._desk.said
            and not self._desk.called
        ):
            self._read.drop(len(met))
            self._desk.thought = True
        elif met in FENCES and (self._first() or (self._held.entire and self._held.closed)):
            self._fresh = yield from self._fence()
        else:
            self._fresh = yield from self._doubtful(met)

    def _first(self) -> bool:
        return not self._desk.said and not self._desk.called and not self._held

    def _thoughts(self, opener: str) -> Steps[None]:
        yield from self._thinking.block(self._look.thoughts[opener], joint=self._joint)
        self._around.boundary()
        self._fresh, self._joint = True, ""

    def _frame(self, header: str) -> Steps[bool]:
        """The header of a call, of thoughts, or of the answer."""
        trials = self._look.trials.get(header) or self._look.first_trials.get(header)
        if trials and (yield from self._attempt(header, trials)):
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
        found = line and (yield from bounded(self._read, self._call_follows(line)))
        self._read.rewind(mark)
        self._read.release(mark)
        if found:
            self._read.drop(len(line))
            self._around.see(line)
            self._held.fence("".join(self._blanks) + line)
            self._blanks = []
        return bool(found)

    def _call_follows(self, line: str) -> Steps[bool]:
        self._read.drop(len(line))
        yield from self._read.skip()
        return bool((yield from self._read.which(self._look.fenced))) or (yield from self._named())

    def _named(self) -> Steps[bool]:
        return (yield from self._look.name(self._read, self._desk.tools))

    def _doubtful(self, start: str) -> Steps[bool]:
        """A look at what has no certain marker. True if a call was read."""
        if start not in self._look.doubtful:
            if start or not (yield from self._named()):
                return False
            start = A_NAME
        for dialect in self._look.doubtful[start]:
            if dialect.doubtful is None or (
                dialect.alone and not (self._first() or self._held.entire)
            ):
                continue
            read = yield from self._attempts.held(
                [(dialect.name, dialect.doubtful)], self._held.size
            )
            if read and read.rule:
                self._refuse(read, read.rule)
            elif read and not read.events:
                self._say(read.raw)
            elif read and not self._held and self._desk.echoes(read.events):
                self._called(Read(read.raw))
            elif read:
                self._bare_call(read, dialect)
            if read:
                return self._fresh
        return False

    def _bare_call(self, read: Read, dialect: Dialect) -> None:
        """Without a hint a bare call must be the whole message; where markers prove it, only
        calls may follow on its line.
        """
        own = dialect.name in self._look.own
        proven = own or not dialect.proofs or any(proof in read.raw for proof in dialect.proofs)
        if proven and not dialect.alone:
            self._called(read, () if own else (Watch.rest_of_line(BARE),))
        elif self._held.entire or not self._desk.said:
            self._held.bare()
            self._called(read)
        else:
            self._refuse(read, BARE)

    # among the prose

    def _meet(self, met: str) -> Steps[None]:
        inline = self._around.code.inline
        if met in self._look.trials and not inline and not self._silent:
            yield from self._call(met)
        elif met in self._look.thoughts and self._opens_thoughts():
            yield from self._thoughts(met)
        elif met in self._look.turns and (met in self._look.own_turns or self._is_marked_up):
            yield from self._turn(met)
        else:
            if inline and met != "\n":
                self._around.code.quote()
            if inline and met in self._look.trials and self._span is None:
                self._span = CodeSpan(self._desk.tools, self._look.trials[met])
            self._say(met)
            if met == "\n":
                self._fresh = self._held.line() or self._fresh

    @property
    def _is_marked_up(self) -> bool:
        """Whether the answer is more than its plain text."""
        return self._desk.called or self._desk.thought or self._framed or bool(self._held)

    def _opens_thoughts(self) -> bool:
        code = self._around.code
        return (
            self._desk.thought
            and not code.inline
            and not code.fenced
            and BOUNDARY.fullmatch(self._around.last) is not None
        )

    def _call(self, opener: str) -> Steps[None]:
        self._read.back(len(opener))
        if self._held.in_closed_fence:
            self._held.release(CODE)
        if not (yield from self._attempt(opener, self._look.trials[opener])):
            self._read.drop(len(opener))
            self._say(opener)

    def _attempt(self, opener: str, trials: Sequence[Trial]) -> Steps[bool]:
        """Read a call, or its text where a rule says so.

        False: neither comes, and nothing was read.
        """
        if self._around.code.fenced:
            rule, watches = Judgement(CODE if self._held.is_watched else "")
            self._held.begin()
        else:
            rule, watches = self._around.judge(
                opener, after_prose=self._desk.said or bool(self._held)
            )
        if self._held or rule or watches:
            read = yield from self._attempts.held(trials, self._held.size, opener)
        else:
            read = yield from self._attempts.streamed(trials, opener)
        if read is None:
            return False
        if read.rule or (rule and read.events):
            self._refuse(read, rule or read.rule)
        elif read.events or not read.raw:
            self._called(read, watches)
        else:
            self._say(read.raw)
        return True

    def _called(self, read: Read, watches: Sequence[Watch] = ()) -> None:
        self._around.called(read.raw)
        self._held.call("".join(self._blanks) + read.raw, read.events, watches)
        self._fresh, self._blanks, self._joint = True, [], "\n"

    def _turn(self, token: str) -> Steps[None]:
        """Tokens that end a turn say nothing, at the end; nor at the end of a part, where parts
        have headers.
        """
        tail, size = [token], len(token)
        while size < WORD_LIMIT and (
            more := (yield from self._read.skip()) + (yield from self._take_turn())
        ):
            tail.append(more)
            size += len(more)
        if not (yield from self._read.next()):
            self._held.add_silent("".join(tail))
            return
        if token in self._look.boundaries:
            self._held.boundary()
        if self._framed and not self._held and (yield from self._read.which(self._look.part)):
            self._fresh, self._blanks = True, []
            self._around.boundary()
        else:
            self._say("".join(tail))

    def _take_turn(self) -> Steps[str]:
        token = yield from self._read.which(self._look.tail)
        self._read.drop(len(token))
        return token

    # what is shown

    def _say(self, text: str) -> None:
        """Text of the answer, word for word; all that was read and is no call comes here."""
        self._show(text, text)

    def _refuse(self, read: Read, rule: str) -> None:
        """A call that is text, by a rule. No rule looks inside it."""
        self._desk.quoted[rule] += read.count
        self._show(read.raw, QUOTED + newline_behind(read.raw))

    def _show(self, text: str, seen: str) -> None:
        """Show a text; `seen` stands for it where rules read it."""
        self._around.see(seen)
        if self._span is not None and self._span.see(text, self._around.code.span):
            self._count_span()
        self._held.show(self._led(text) if self._fresh or self._blanks else text, seen)

    def _count_span(self) -> None:
        if self._span is not None and (count := self._span.count()):
            self._desk.quoted[CODE] += count
        self._span = None

    def _led(self, text: str) -> str:
        """With the blanks before it.

        Empty lines between thoughts, or a call, and the first words of an answer are no part of it.
        """
        blanks = "".join(self._blanks)
        self._fresh, self._blanks = False, []
        if not self._desk.said and (self._desk.called or self._desk.thought) and not self._held:
            blanks = blanks[blanks.rfind("\n") + 1 :]
        return blanks + text

    def _over(self) -> None:
        self._around.code.end()
        self._held.line()
        self._count_span()
        if self._held:
            self._held.add_silent("".join(self._blanks))
            self._held.end(cut=self._read.cut)
        elif not self._desk.called and not self._desk.thought:
            self._desk.say("".join(self._blanks))
