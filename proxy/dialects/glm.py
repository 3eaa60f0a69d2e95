"""GLM 4.5 and later, Ling-3, Spark-2.5 and their relatives: keys and values as pairs of tags.

SAMPLE:
<tool_call>write_file
<arg_key>path</arg_key>
<arg_value>notes.md</arg_value>
</tool_call>

Seen in practice: no newlines (4.7); the opening tag or any closing tag missing; a literal `\\n`
between the tags; JSON in place of the pairs. Hy3 and Hy4 add `<tool_sep>` or a suffix to every tag,
IQuest and LongCat a prefix, K2-Horizon another prefix and the type of each value. Laguna also
writes calls, in pairs or as JSON, between `<user>` and `</user>`.
"""

import re
from dataclasses import replace
from functools import lru_cache, partial

from proxy.parsing.calls import CallWriter
from proxy.parsing.dialect import A_NAME, Dialect, Grammar, sample
from proxy.parsing.grammars.json_calls import JsonFormat, json_calls
from proxy.parsing.grammars.named_calls import NAME
from proxy.parsing.grammars.xml_calls import closing_tag, parameters, xml_calls
from proxy.parsing.grammars.xml_layout import Tag, XmlFormat
from proxy.parsing.reader import Reader, Steps

GAP = r"(?:\s|\\n)*+"
"""Pattern for whitespace and a literal `\\n` between tags.

The pattern is possessive because backtracking took seconds on a tag full of whitespace.
"""
SAMPLE = sample(__doc__)


def xml_format(prefix: str = "", suffix: str = "", call: str = "tool_call") -> XmlFormat:
    """Return the tags of a GLM variant.

    `prefix` and `suffix` surround the word in every tag. `call` is the word of the tag around a
    call.
    """
    opener, key, value, apart, outer = (
        f"<{word}{suffix}>"
        for word in (
            prefix + call,
            f"{prefix}arg_key",
            f"{prefix}arg_value",
            f"{prefix}tool_sep",
            f"{prefix}tool_calls",
        )
    )
    closers, key_closer = (opener.replace("<", "</"),), key.replace("<", "</")
    begins, behind = re.escape(opener), re.escape(value)
    function = (
        rf"{begins}{GAP}([\w.:/@-]+?){GAP}(?:{re.escape(apart)}{GAP})?"
        rf"(?:(?P<proof>(?={re.escape(key)}))|(?=<|\Z))"
    )
    shut, following = re.escape(key_closer), f"{re.escape(key)}|{re.escape(closers[0])}"
    kind = rf"(?:<[^<>]*arg_type[^<>]*>(?P<type>[^<>]*)</[^<>]*>{GAP})?"
    unopened = rf"{shut}{GAP}(?:(?=[^\s<\\])|(?P<void>(?={following})))"
    pair = rf"{re.escape(key)}\s*+([^<>]+?)\s*+(?:(?:</[^<>]*>)?{GAP}{kind}{behind}|{unopened})"
    kind_begun = rf"(?:<[^<>]*arg_type[^<>]*>[^<>]*(?:</[^<>]*>{GAP})?)?"
    begun = rf"{re.escape(key)}[^<>]*(?:</[^<>]*>{GAP}{kind_begun})?(?:<[^<>]*)?"
    return XmlFormat(
        openers=(outer,),
        function=Tag(opener, re.compile(function), (key, *closers, opener)),
        function_closers=closers,
        parameter=Tag(key, re.compile(pair), (value,), partial_pattern=re.compile(begun)),
        value_closers=(value.replace("<", "</"),),
        closers=(outer.replace("<", "</"),),
        noise=("\\n",),
    )


def family(
    name: str,
    tags: XmlFormat,
    *,
    template_markers: tuple[str, ...] = (),
    model_pattern: str = "",
    tentative_grammar: Grammar | None = None,
    relatives: tuple[str, ...] = ("hermes", "generic_json"),
) -> Dialect:
    """Build the dialect of a GLM variant from its tags."""
    opener = tags.function.begins
    text = SAMPLE.replace("<tool_call>", opener).replace("</tool_call>", tags.function_closers[0])
    text = text.replace("<arg_key>", tags.parameter.begins).replace(
        "</arg_key>", tags.parameter.begins.replace("<", "</")
    )
    text = text.replace("<arg_value>", tags.parameter.ends[0]).replace(
        "</arg_value>", tags.value_closers[0]
    )
    return Dialect(
        name,
        text,
        grammar=partial(xml_calls, xml_format=tags),
        openers=(opener, *tags.openers),
        tentative_openers=(A_NAME,) if tentative_grammar else (),
        tentative_grammar=tentative_grammar,
        end_tokens=("<|user|>", "<|observation|>", "<|endoftext|>", "<|role_end|>"),
        template_markers=template_markers or (tags.parameter.begins,),
        model_pattern=model_pattern,
        family=relatives,
    )


GLM, USER = xml_format(), xml_format(call="user")
IN_USER_TAGS = JsonFormat(
    ends=USER.function_closers, resolve_name=CallWriter.resolve_declared, strict=True
)
HY_OPENERS, SUFFIXED = ("<tool_calls:", "<tool_call:"), re.compile(r"<tool_calls?(:[\w.-]+)>")
_suffixed = lru_cache(maxsize=16)(lambda suffix: xml_format(suffix=suffix))


def opener_missing(reader: Reader, calls: CallWriter) -> Steps[None]:
    """Read a call whose opening tag is missing; its other tags prove the call."""
    name = yield from reader.take_while(NAME)
    yield from GLM.skip_gap(reader)
    yield from parameters(reader, calls, GLM, calls.resolve_declared(name) or name)
    yield from closing_tag(reader, GLM.openers, GLM.closers)


def suffixed(reader: Reader, calls: CallWriter) -> Steps[None]:
    """Read a block of calls whose tags all have the suffix of the first one."""
    tag = SUFFIXED.fullmatch((yield from reader.peek_tag()))
    if tag:
        yield from xml_calls(reader, calls, _suffixed(tag[1]))


def in_user_tags(reader: Reader, calls: CallWriter) -> Steps[None]:
    """Read one call between `<user>` and `</user>`.

    These tags also occur in ordinary text. Only a declared tool with pairs or with JSON proves a
    call.
    """
    yield from reader.take(USER.function.begins)
    yield from USER.skip_gap(reader)
    if (yield from reader.peek("{")):
        yield from json_calls(reader, calls, IN_USER_TAGS)
    else:
        name = calls.resolve_declared((yield from reader.take_while(NAME)))
        yield from USER.skip_gap(reader)
        if name is None or not (yield from reader.peek(USER.parameter.begins)):
            return
        yield from parameters(reader, calls, USER, name)
    yield from closing_tag(reader, (USER.function.begins,), USER.function_closers)


DIALECT = family(
    "glm",
    GLM,
    model_pattern="glm-?[45]|ling-3|spark-2|laguna|poolside",
    tentative_grammar=opener_missing,
    relatives=("laguna", "hermes", "generic_json"),
)
HY = replace(
    family(
        "hy",
        xml_format(suffix=":opensource"),
        model_pattern="hy-?[34]|hunyuan-?3",
        relatives=("glm", "jamba", *DIALECT.family),
    ),
    grammar=suffixed,
    openers=HY_OPENERS,
    template_markers=HY_OPENERS,
)
IQUEST = family(
    "iquest",
    xml_format(call="iquest_tool_call"),
    template_markers=("<iquest_tool_call>",),
    model_pattern="iquest",
    relatives=("iquest_json", *DIALECT.family),
)
LONGCAT = family(
    "longcat_pairs",
    xml_format("longcat_"),
    model_pattern="longcat",
    relatives=("longcat", *DIALECT.family),
)
K2_HORIZON = family(
    "k2_horizon",
    xml_format("ifm|"),
    model_pattern="k2-horizon|k2-v3",
    relatives=("k2_horizon_json", *DIALECT.family),
)
LAGUNA = replace(
    family(
        "laguna", USER, model_pattern="laguna|poolside", relatives=("glm", "hermes", "generic_json")
    ),
    grammar=in_user_tags,
    openers=(USER.function.begins,),
)
