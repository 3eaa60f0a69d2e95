"""What every dialect has in common with every other, for all of them."""

import pytest

from proxy.dialects import DIALECTS, Parser
from proxy.parsing.parser import ThinkingMode
from tests.dialects.framings import PREFIXES, before_each_line
from tests.dialects.renderers import WRITTEN
from tests.dialects.table import LIST, TOOLS
from tests.dialects.test_families import NOTE
from tests.dialects.test_half_calls import TAGGED
from tests.dialects.test_quoted_calls import CALLS, MARKED, framed, read
from tests.parsing.cuts import Call, Seen, always, events_of, seen, tool


@pytest.mark.parametrize("name", [name for name, one in DIALECTS.items() if one.end_tokens])
@pytest.mark.parametrize("thinking", ["tags", "off"])
def test_the_tokens_of_a_named_dialect_end_a_plain_answer(
    name: str, thinking: ThinkingMode
) -> None:
    for token in DIALECTS[name].end_tokens:
        assert always(lambda: Parser(NOTE, name, thinking), f"Hello.{token}") == Seen("Hello.")
        assert always(lambda: Parser(NOTE, thinking=thinking), f"Hello.{token}") == Seen(
            f"Hello.{token}"
        )


@pytest.mark.parametrize("name", WRITTEN)
def test_37_wherever_it_is_cut(name: str) -> None:
    """It is a call or its text, never both; the call is whole only if all arguments came, and
    half a marker behind it says nothing.
    """
    arguments = {"path": "a.md", "body": "hello"}
    text = WRITTEN[name].render([("write_note", arguments)])
    for place in range(1, len(text)):
        content, found, _ = seen(events_of(Parser(TOOLS), [text[:place]], "length"))
        if not found:
            assert text[:place].endswith(content), text[:place]
            continue
        (call,) = found
        assert content == "", text[:place]
        assert (
            call.arguments == arguments
            if call.whole
            else '{"path":"a.md","body":"hello"}'.startswith(call.arguments)
        ), text[:place]


@pytest.mark.parametrize("name", TAGGED)
def test_a_value_may_hold_the_tags_of_its_dialect(name: str) -> None:
    tools = [tool("write", path={"type": "string"}, body={"type": "string"}), tool("list_drones")]
    for tag in TAGGED[name]:
        for value in (f"a {tag} b", f"`{tag}`", f"x {tag} y {tag} z"):
            for arguments in ({"path": value, "body": "c"}, {"path": "p", "body": value}):
                text = (
                    f"{WRITTEN[name].render([('write', arguments)])}\n"
                    f"{WRITTEN[name].render([('list_drones', {})])}"
                )
                found = always(lambda: Parser(tools), text, cuttings=[[text], list(text)])
                assert found.calls == (Call("write", arguments), LIST), text


@pytest.mark.parametrize("name", MARKED)
def test_every_framing_makes_a_call_of_every_dialect_text(name: str) -> None:
    for _, framing in framed():
        text = framing.replace("§", CALLS[name])
        assert read(text, cuttings=[[text]]) == Seen(text), framing
    for prefix in PREFIXES:
        text = before_each_line(prefix, CALLS[name])
        assert read(text, cuttings=[[text]]) == Seen(text), prefix
