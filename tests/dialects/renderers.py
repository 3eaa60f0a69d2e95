"""Renderers: calls in, and the text out in which the models of a dialect write them.

A dialect is written after its own sample, unless it has a renderer here: because the sample does
not show how several calls, or values of other types, are written.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from proxy.dialects import DIALECTS

Arguments: TypeAlias = dict[str, Any]
Render: TypeAlias = Callable[[Sequence[tuple[str, Arguments]]], str]


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def raw(value: Any) -> str:
    """A value between tags. Newlines around it are doubled, as one pair of them is markup."""
    if not isinstance(value, str):
        return as_json(value)
    return f"\n{value}\n" if value.startswith(("\n", "\r\n")) and value.endswith("\n") else value


def tagged(
    calls: Sequence[tuple[str, Arguments]],
    outer: str,
    function: str,
    parameter: str,
    typed: str = "",
) -> str:
    """`outer` holds all calls, `function` and `parameter` one of each: `{}` is the name or the
    key, `|` what stands inside.
    """

    def value(one: Any) -> str:
        return {
            "": "",
            "dsml": "true" if isinstance(one, str) else "false",
            "k3": "string" if isinstance(one, str) else "object",
        }[typed]

    parts = []
    for name, arguments in calls:
        members = "".join(
            parameter.replace("{}", key).replace("?", value(one)).replace("|", raw(one), 1)
            for key, one in arguments.items()
        )
        parts.append(function.replace("{}", name).replace("|", members, 1))
    return outer.replace("|", "".join(parts), 1)


def qwen(calls: Sequence[tuple[str, Arguments]]) -> str:
    def members(arguments: Arguments) -> str:
        return "".join(
            f"<parameter={key}>\n{one if isinstance(one, str) else as_json(one)}\n</parameter>\n"
            for key, one in arguments.items()
        )

    return "\n".join(
        f"<tool_call>\n<function={name}>\n{members(arguments)}</function>\n</tool_call>"
        for name, arguments in calls
    )


def pairs(
    calls: Sequence[tuple[str, Arguments]],
    call: str,
    prefix: str = "",
    suffix: str = "",
    gap: str = "\n",
) -> str:
    key, value = f"{prefix}arg_key{suffix}", f"{prefix}arg_value{suffix}"

    def members(arguments: Arguments) -> str:
        return "".join(
            f"<{key}>{name}</{key}>{gap}<{value}>{raw(one)}</{value}>{gap}"
            for name, one in arguments.items()
        )

    return "\n".join(
        f"<{call}>{name}{gap}{members(arguments)}</{call}>" for name, arguments in calls
    )


def objects(
    calls: Sequence[tuple[str, Arguments]],
    opener: str = "",
    closer: str = "",
    name: str = "name",
    arguments: str = "arguments",
) -> str:
    """One object after the other, each between the markers."""
    return "\n".join(
        f"{opener}{as_json({name: one, arguments: given})}{closer}" for one, given in calls
    )


def laguna(calls: Sequence[tuple[str, Arguments]]) -> str:
    """A name alone in `<user>` is text: a call without arguments is JSON."""
    return "\n".join(
        pairs([call], "user") if call[1] else objects([call], "<user>\n", "\n</user>")
        for call in calls
    )


def array(
    calls: Sequence[tuple[str, Arguments]], opener: str = "", closer: str = "", **keys: str
) -> str:
    key, arguments = keys.get("name", "name"), keys.get("arguments", "arguments")
    return opener + as_json([{key: one, arguments: given} for one, given in calls]) + closer


def named(calls: Sequence[tuple[str, Arguments]], outer: str, block: str) -> str:
    """`outer` around all blocks; in a block `{}` is the name, `#` the number and `|` the JSON."""
    blocks = "".join(
        block.replace("{}", name).replace("#", str(number)).replace("¦¦", as_json(arguments))
        for number, (name, arguments) in enumerate(calls)
    )
    return outer.replace("¦¦", blocks)


def python(
    calls: Sequence[tuple[str, Arguments]], opener: str = "", closer: str = "", between: str = ", "
) -> str:
    written = between.join(
        f"{name}({', '.join(f'{key}={one!r}' for key, one in arguments.items())})"
        for name, arguments in calls
    )
    return opener + written + closer


def apertus(calls: Sequence[tuple[str, Arguments]]) -> str:
    return (
        "<|tools_prefix|>"
        + as_json([{name: arguments} for name, arguments in calls])
        + "<|tools_suffix|>"
    )


def gemma_value(value: Any, quote: str) -> str:
    if isinstance(value, str):
        return quote + value + quote
    if isinstance(value, dict):
        return (
            "{" + ",".join(f"{key}:{gemma_value(one, quote)}" for key, one in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(gemma_value(one, quote) for one in value) + "]"
    return as_json(value)


def gemma(calls: Sequence[tuple[str, Arguments]], opener: str, closer: str, quote: str) -> str:
    return "".join(
        f"{opener}call:{name}{gemma_value(arguments, quote)}{closer}" for name, arguments in calls
    )


MARK = "]<]minimax[>["


def element(key: str, value: Any) -> str:
    if isinstance(value, dict) and value:
        inside = "".join(element(name, one) for name, one in value.items())
    elif isinstance(value, list) and value:
        inside = "".join(element("item", one) for one in value)
    else:
        inside = raw(value)
    return f"{MARK}<{key}>{inside}{MARK}</{key}>\n"


def minimax_m3(calls: Sequence[tuple[str, Arguments]]) -> str:
    blocks = "".join(
        (
            f'{MARK}<invoke name="{name}">\n'
            f"{''.join(element(key, one) for key, one in arguments.items())}{MARK}</invoke>\n"
        )
        for name, arguments in calls
    )
    return f"{MARK}<tool_call>\n{blocks}{MARK}</tool_call>"


INVOKE, PARAMETER = '<invoke name="{}">\n|</invoke>\n', '<parameter name="{}">|</parameter>\n'


def invoke(outer: str, prefix: str = "") -> Render:
    return partial(
        tagged,
        outer=f"<{prefix}{outer}>\n|</{prefix}{outer}>",
        function=INVOKE.replace("<invoke", f"<{prefix}invoke").replace(
            "</invoke", f"</{prefix}invoke"
        ),
        parameter=PARAMETER.replace("<parameter", f"<{prefix}parameter").replace(
            "</parameter", f"</{prefix}parameter"
        ),
    )


def dsml(
    calls: Sequence[tuple[str, Arguments]], mark: str = "｜DSML｜", outer: str = "function_calls"
) -> str:
    return tagged(
        calls,
        outer=f"<{mark}{outer}>\n|</{mark}{outer}>",
        function=f'<{mark}invoke name="{{}}">\n|</{mark}invoke>\n',
        parameter=f'<{mark}parameter name="{{}}" string="?">|</{mark}parameter>\n',
        typed="dsml",
    )


def kimi_k3(calls: Sequence[tuple[str, Arguments]]) -> str:
    def members(arguments: Arguments) -> str:
        kinds = {
            str: "string",
            int: "number",
            float: "number",
            bool: "boolean",
            list: "array",
            dict: "object",
            type(None): "null",
        }
        return "".join(
            (
                f'<|open|>argument key="{key}" '
                f'type="{kinds[type(one)]}"<|sep|>{raw(one)}<|close|>argument<|sep|>'
            )
            for key, one in arguments.items()
        )

    blocks = "".join(
        (
            f'<|open|>call tool="{name}" '
            f'index="{number}"<|sep|>{members(arguments)}<|close|>call<|sep|>'
        )
        for number, (name, arguments) in enumerate(calls, 1)
    )
    return f"<|open|>tools<|sep|>{blocks}<|close|>tools<|sep|>"


def step3(calls: Sequence[tuple[str, Arguments]]) -> str:
    block = (
        '<｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="{}">|</steptml:invoke>'
        "<｜tool_call_end｜>"
    )
    parameter = '<steptml:parameter name="{}">|</steptml:parameter>'
    return tagged(calls, "<｜tool_calls_begin｜>|<｜tool_calls_end｜>", block, parameter)


def harmony(calls: Sequence[tuple[str, Arguments]]) -> str:
    block = "<|channel|>commentary to=functions.{} <|constrain|>json<|message|>¦¦<|call|>"
    return "<|start|>assistant".join(named([call], "¦¦", block) for call in calls)


def plamo(word: str) -> str:
    return f"<|plamo:{word}:plamo|>"


PLAMO = (
    f"{plamo('begin_tool_request')}{plamo('begin_tool_name')}{{}}"
    f"{plamo('end_tool_name')}{plamo('begin_tool_arguments')}"
    f"<|plamo:constrain|>json<|plamo:msg|>"
    f"¦¦{plamo('end_tool_arguments')}{plamo('end_tool_request')}"
)


@dataclass(frozen=True)
class Written:
    render: Render
    # What ends a text, the last one first: it is understood without them.
    closers: tuple[str, ...] = ()
    weak: bool = False  # a call only of a declared tool, and only if nothing else is said
    nests: bool = True  # a text may hold another call of its own kind
    unsayable: tuple[str, ...] = ()  # what a text cannot hold: it means something else there


_OWN: Mapping[str, Written] = {
    # A lone CR before the newline of the markup is the end of a line as Windows writes it.
    "qwen3_coder": Written(qwen, ("\n</tool_call>", "</function>"), unsayable=("\\r'", '\\r"')),
    "hy": Written(
        partial(pairs, call="tool_call:opensource", suffix=":opensource", gap=""),
        ("</tool_call:opensource>",),
    ),
    "laguna": Written(laguna, ("\n</user>",)),
    "seed_oss": Written(
        partial(
            tagged,
            outer="<seed:tool_call>\n|</seed:tool_call>",
            function="<function={}>\n|</function>\n",
            parameter="<parameter={}>|</parameter>\n",
        ),
        ("</seed:tool_call>", "</function>\n"),
    ),
    "minimax_m2": Written(invoke("minimax:tool_call"), ("</minimax:tool_call>", "</invoke>\n")),
    "anthropic": Written(invoke("function_calls"), ("</function_calls>", "</invoke>\n")),
    "muse": Written(
        invoke("function_calls", "atem:"), ("</atem:function_calls>", "</atem:invoke>\n")
    ),
    "minimax_m3": Written(minimax_m3, (f"{MARK}</tool_call>", f"{MARK}</invoke>\n"), nests=False),
    "deepseek_dsml": Written(dsml, ("</｜DSML｜function_calls>", "</｜DSML｜invoke>\n")),
    "deepseek_v31": Written(
        partial(
            named,
            outer="<｜tool▁calls▁begin｜>¦¦<｜tool▁calls▁end｜>",
            block="<｜tool▁call▁begin｜>{}<｜tool▁sep｜>¦¦<｜tool▁call▁end｜>",
        ),
        ("<｜tool▁calls▁end｜>", "<｜tool▁call▁end｜>", "}"),
    ),
    "deepseek_v3": Written(
        partial(
            named,
            outer="<｜tool▁calls▁begin｜>¦¦<｜tool▁calls▁end｜>",
            block=(
                "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{}\n```json\n¦¦\n```<｜tool▁call▁end｜>"
            ),
        ),
        ("<｜tool▁calls▁end｜>", "<｜tool▁call▁end｜>", "\n```", "}"),
    ),
    "step3": Written(step3, ("<｜tool_calls_end｜>", "<｜tool_call_end｜>", "</steptml:invoke>")),
    "kimi_k2": Written(
        partial(
            named,
            outer="<|tool_calls_section_begin|>¦¦<|tool_calls_section_end|>",
            block=(
                "<|tool_call_begin|>functions.{}:#<|tool_call_argument_begin|>¦¦<|tool_call_end|>"
            ),
        ),
        ("<|tool_calls_section_end|>", "<|tool_call_end|>", "}"),
    ),
    "kimi_k3": Written(kimi_k3, ("<|close|>tools<|sep|>", "<|close|>call<|sep|>")),
    "mistral": Written(partial(named, outer="¦¦", block="[TOOL_CALLS]{}[ARGS]¦¦"), ("}",)),
    "harmony": Written(harmony, ("<|call|>", "}")),
    "command_r": Written(
        partial(
            array,
            opener="<|START_ACTION|>",
            closer="<|END_ACTION|>",
            name="tool_name",
            arguments="parameters",
        ),
        ("<|END_ACTION|>", "]", "}", "}"),
    ),
    "gemma": Written(
        partial(gemma, opener="<|tool_call>", closer="<tool_call|>", quote='<|"|>'),
        ("<tool_call|>", "}"),
        nests=False,
        unsayable=('<|"|>',),
    ),
    "apertus": Written(apertus, ("<|tools_suffix|>", "]", "}")),
    "inkling": Written(
        lambda calls: "".join(
            objects(
                [call],
                f"<|message_model|>{call[0]}<|content_invoke_tool_json|>",
                "<|end_message|>",
                arguments="args",
            )
            for call in calls
        ),
        ("<|end_message|>", "}", "}"),
    ),
    "plamo3": Written(
        partial(
            named,
            outer=f"{plamo('begin_tool_requests')}¦¦{plamo('end_tool_requests')}",
            block=PLAMO,
        ),
        (plamo("end_tool_requests"), plamo("end_tool_request"), plamo("end_tool_arguments"), "}"),
    ),
    "jamba": Written(
        partial(array, opener="<tool_calls>", closer="</tool_calls>"), ("</tool_calls>", "]")
    ),
    "nemotron": Written(
        partial(array, opener="<TOOLCALL>", closer="</TOOLCALL>"), ("</TOOLCALL>", "]")
    ),
    "phi4": Written(
        partial(array, opener="<|tool_call|>", closer="<|/tool_call|>"), ("<|/tool_call|>", "]")
    ),
    "firefunction": Written(partial(array, opener=" functools"), ("]",)),
    "lfm2": Written(
        partial(python, opener="<|tool_call_start|>[", closer="]<|tool_call_end|>"),
        ("<|tool_call_end|>", "]"),
    ),
    "llama4": Written(
        partial(python, opener="<|python_start|>[", closer="]<|python_end|>"),
        ("<|python_end|>", "]"),
    ),
    "olmo3": Written(
        partial(python, opener="<function_calls>\n", closer="\n</function_calls>", between="\n"),
        ("\n</function_calls>",),
    ),
    "command_r_plus": Written(
        partial(
            array,
            opener="Action: ```json\n",
            closer="\n```",
            name="tool_name",
            arguments="parameters",
        ),
        ("\n```", "]"),
    ),
    "llama3": Written(
        lambda calls: (
            "<|python_tag|>" + "; ".join(objects([call], arguments="parameters") for call in calls)
        ),
        ("}",),
    ),
    "pythonic": Written(partial(python, opener="[", closer="]"), ("]",), weak=True),
    "generic_json": Written(array, ("]",), weak=True),
}


_ARGUMENTS = '{"path": "notes.md"}'
_PARAMETER = re.compile(r"<[^<]*path.*?notes\.md[^>]*>\n?", re.DOTALL)
_CLOSERS = re.compile(r"\n?(?:<[^<>]*>|[^\s<])")


def from_sample(sample: str) -> Written:
    """Write calls one after the other, each as `sample` does."""
    tool = "read_file" if "read_file" in sample else "write_file"
    inline = _PARAMETER.search(sample)
    shown = _ARGUMENTS if inline is None or _ARGUMENTS in sample else inline[0]
    head, _, tail = sample.partition(shown)

    def write(name: str, arguments: Arguments) -> str:
        written = (
            as_json(arguments)
            if shown == _ARGUMENTS
            else "".join(
                shown.replace("path", key).replace("notes.md", raw(value))
                for key, value in arguments.items()
            )
        )
        return head.replace(tool, name) + written + tail

    closers = _CLOSERS.findall("}" * (shown == _ARGUMENTS) + tail)
    return Written(
        lambda calls: "\n".join(write(name, arguments) for name, arguments in calls),
        tuple(reversed(closers)),
    )


WRITTEN: Mapping[str, Written] = {
    name: _OWN.get(name) or from_sample(dialect.sample)
    for name, dialect in DIALECTS.items()
    if name not in ("generic_response", "thoughts")  # they write no calls
}
