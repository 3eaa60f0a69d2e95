"""Small dialects that show what the parser does with one."""

import re

from proxy.parsing.calls import CallWriter
from proxy.parsing.dialect import Dialect, Grammar, ReasoningTags
from proxy.parsing.parser import ChoiceParser, ThinkingMode
from proxy.parsing.reader import Reader, Steps
from proxy.parsing.window import HELD_LIMIT

TURNS = ("</s>",)
THINK = ReasoningTags("<think>", "</think>")


def shout(read: Reader, calls: CallWriter) -> Steps[None]:
    """`!name{piece|piece};` is a call; `|` fails, `?` raises, and a missing `;` leaves it open."""
    yield from read.take("!")
    name = yield from read.take_while(re.compile("[a-z]*"))
    if not (yield from read.take("{")):
        return
    calls.start(name)
    calls.key("x")
    calls.write('"')
    met = yield from read.until("|", "?", "};", emit=calls.write)
    if met == "};":
        calls.write('"')
        calls.end()
    elif met == "?":
        raise RuntimeError("as a broken grammar may")


def late(read: Reader, calls: CallWriter) -> Steps[None]:
    """`!…!name.` is a call, but that is known only at its end."""
    yield from read.take("!")
    if (yield from read.until("!", "?")) == "?":
        raise RuntimeError("before any call")
    name = yield from read.take_while(re.compile("[a-z]*"))
    if (yield from read.take(".")):
        calls.start(name)
        calls.end()


def greedy(read: Reader, calls: CallWriter) -> Steps[None]:
    """Starts a call, then keeps what it reads to give it back, and breaks off."""
    yield from read.take("!")
    calls.start("greedy")
    yield from read.until(".")
    read.mark()
    yield from read.until(":")
    raise RuntimeError("with a mark still set")


def patient(read: Reader, calls: CallWriter) -> Steps[None]:
    """Waits for more text also when there will be none."""
    yield from read.take("!")
    while True:
        yield


def regretful(read: Reader, calls: CallWriter) -> Steps[None]:
    """Starts a call and then wants back what it has read before."""
    here = read.mark()
    yield from read.take("!")
    calls.start("regretful")
    calls.end()
    read.rewind(here)


def only(
    *grammars: Grammar,
    thinking: ThinkingMode = "tags",
    alone: Grammar | None = None,
    held_limit: int = HELD_LIMIT,
) -> ChoiceParser:
    dialects = [Dialect(grammar.__name__, "", grammar, ("!",)) for grammar in grammars]
    if alone:
        dialects.append(
            Dialect(
                "alone",
                "",
                tentative_openers=("!",),
                tentative_grammar=alone,
                whole_message_only=True,
            )
        )
    return ChoiceParser(
        [{"name": "f"}],
        dialects=dialects,
        reasoning_tags=(THINK,),
        end_tokens=TURNS,
        thinking=thinking,
        held_limit=held_limit,
    )
