"""Dialects: the formats in which models write tool calls and reasoning.

Each dialect has its own file. DIALECTS lists them in the order in which they are tried.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from proxy.dialects import (
    anthropic,
    apertus,
    command_r,
    deepseek_dsml,
    deepseek_v31,
    delimited,
    functionary,
    gemma,
    generic_json,
    generic_response,
    glm,
    harmony,
    hermes,
    inkling,
    kimi_k2,
    kimi_k3,
    llama3,
    minicpm5,
    minimax_m2,
    minimax_m3,
    mistral,
    muse,
    plamo3,
    pythonic,
    qwen3_coder,
    seed_oss,
    step3,
    thoughts,
)
from proxy.dialects.thoughts import LABELS, REASONING_TAGS
from proxy.ids import new_id
from proxy.parsing.calls import openai_tool_calls
from proxy.parsing.dialect import Dialect, ModelHint, ReasoningTags
from proxy.parsing.events import Content, Reasoning
from proxy.parsing.parser import ChoiceParser, ThinkingMode
from proxy.parsing.quoting import QuotedCalls

DIALECTS: Mapping[str, Dialect] = {
    one.name: one
    for one in (
        qwen3_coder.DIALECT,
        hermes.DIALECT,
        glm.DIALECT,
        glm.HY,
        glm.IQUEST,
        glm.LONGCAT,
        glm.K2_HORIZON,
        glm.LAGUNA,
        seed_oss.DIALECT,
        minimax_m2.DIALECT,
        minimax_m3.DIALECT,
        anthropic.DIALECT,
        muse.DIALECT,
        deepseek_dsml.DIALECT,
        deepseek_v31.DIALECT,
        deepseek_v31.V3,
        step3.DIALECT,
        kimi_k2.DIALECT,
        kimi_k3.DIALECT,
        mistral.DIALECT,
        harmony.DIALECT,
        command_r.DIALECT,
        gemma.DIALECT,
        apertus.DIALECT,
        inkling.DIALECT,
        plamo3.DIALECT,
        minicpm5.DIALECT,
        *delimited.DIALECTS,
        functionary.DIALECT,
        llama3.DIALECT,
        pythonic.DIALECT,
        generic_json.DIALECT,
        generic_response.DIALECT,
        thoughts.DIALECT,
    )
}
END_TOKENS = tuple(
    dict.fromkeys(("</s>", *(token for one in DIALECTS.values() for token in one.end_tokens)))
)
UNKNOWN_MODEL = ModelHint()


def select(dialect: str | Iterable[str], hint: ModelHint = UNKNOWN_MODEL) -> list[Dialect]:
    """Return the dialects that a setting names, those of the model first.

    `auto` selects all dialects, but those with `needs_hint` only if they fit the model. A name
    selects the dialect and its family. Raises ValueError for an unknown name.
    """
    return list(_select((dialect,) if isinstance(dialect, str) else tuple(dialect), hint))


def _with_family(names: Iterable[str]) -> set[str]:
    """Return `names` with all their relatives, direct and indirect."""
    known: set[str] = set()
    more = set(names)
    while more:
        known |= more
        more = {
            other for name in more if name in DIALECTS for other in DIALECTS[name].family
        } - known
    return known


@lru_cache(maxsize=256)
def _select(names: tuple[str, ...], hint: ModelHint) -> tuple[Dialect, ...]:
    if unknown := [name for name in names if name != "auto" and name not in DIALECTS]:
        raise ValueError(
            f"unknown dialect {', '.join(map(repr, unknown))}: auto, "
            f"or any of {', '.join(DIALECTS)}"
        )
    known = _with_family(names)
    found = [
        one
        for name, one in DIALECTS.items()
        if name in known or ("auto" in names and (not one.needs_hint or one.fits(hint)))
    ]
    return tuple(
        sorted(
            found,
            key=lambda one: (not one.fits(hint), "auto" not in names and one.name not in names),
        )
    )


@lru_cache(maxsize=64)
def reasoning_tags(hint: ModelHint) -> tuple[ReasoningTags, ...]:
    """Return the reasoning tags that apply to the model."""
    return tuple(one for one in REASONING_TAGS if one.applies(hint))


REASONING_OPENERS = tuple(one.opener.rstrip() for one in REASONING_TAGS)


def markers(dialect: str | Iterable[str]) -> list[str]:
    """Return all markers that an answer may contain.

    A backend must not strip these tokens from its output.
    """
    thoughts = [tag for one in REASONING_TAGS for tag in (one.opener, *one.closers)]
    calls = [
        marker
        for one in select(dialect)
        for marker in (*one.openers, *one.headers, *one.end_tokens, *one.template_markers)
    ]
    return list(dict.fromkeys(marker.strip() for marker in (*thoughts, *calls)))


class Parser(ChoiceParser):
    """Parser for the stream of one answer, with the dialects given by name.

    `hint` describes the model. A call that repeats one of `request_texts` (the texts of user and
    tool messages) verbatim is treated as text. `quoted_calls="run"` turns off the rules that treat
    quoted calls as text, except in code.
    """

    def __init__(
        self,
        tools: object = (),
        dialect: str | Iterable[str] = "auto",
        thinking: ThinkingMode = "tags",
        hint: ModelHint = UNKNOWN_MODEL,
        *,
        request_texts: Iterable[str] = (),
        quoted_calls: QuotedCalls = "text",
    ) -> None:
        names = (dialect,) if isinstance(dialect, str) else tuple(dialect)
        thoughts, known = reasoning_tags(hint), select(names, hint)
        super().__init__(
            tools,
            dialects=known,
            reasoning_tags=thoughts,
            end_tokens=(*END_TOKENS, *(token for one in thoughts for token in one.end_tokens)),
            labels=LABELS,
            own_end_tokens=tuple(
                token
                for one in known
                if one.name in names or one.fits(hint)
                for token in one.end_tokens
            ),
            thinking=thinking,
            hint=replace(hint, dialects=tuple(name for name in names if name != "auto")),
            request_texts=request_texts,
            quoted_calls=quoted_calls,
        )


def parse(
    text: str,
    *,
    tools: object = (),
    dialect: str | Iterable[str] = "auto",
    thinking: ThinkingMode = "tags",
) -> dict[str, Any]:
    """Parse a complete answer into an OpenAI assistant message."""
    reader = Parser(tools, dialect, thinking)
    events = [*reader.feed(text), *reader.close()]
    calls = openai_tool_calls(events)
    content = "".join(event.text for event in events if isinstance(event, Content))
    thoughts = "".join(event.text for event in events if isinstance(event, Reasoning))
    message: dict[str, Any] = {
        "role": "assistant",
        "content": content or (None if calls or thoughts else ""),
    }
    if thoughts:
        message["reasoning_content"] = thoughts
    if calls:
        message["tool_calls"] = [{**call, "id": call["id"] or new_id("call_")} for call in calls]
    return message
