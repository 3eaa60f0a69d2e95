"""Dialects that are a pair of markers and what stands between them: JSON above all, or Python's
calls. One line each.

SAMPLE:
<longcat_tool_call>{"name": "read_file", "arguments": {"path": "notes.md"}}</longcat_tool_call>
"""

from functools import partial

from proxy.parsing.calls import Calls
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.delimited_calls import CLOSERS, Marks, marked_calls, opener_missing
from proxy.parsing.grammars.json_calls import Shape

JSON = sample(__doc__).partition(">")[2].partition("<")[0]
PYTHON = 'read_file(path="notes.md")'


def between(
    name: str,
    openers: tuple[str, ...],
    closers: tuple[str, ...] = (),
    *,
    body: str = "[" + JSON + "]",
    models: str = "",
    turns: tuple[str, ...] = (),
    headers: tuple[str, ...] = (),
    family: tuple[str, ...] = (),
    weak: bool = False,
) -> Dialect:
    """`weak`: the markers are ordinary words, so that only JSON with a declared tool is
    believed.
    """
    closes = any(closer in CLOSERS for closer in closers)
    shape = Shape(ends=(*closers, *turns), name=Calls.declared if weak else Calls.name)
    return Dialect(
        name,
        openers[0]
        + body.removeprefix("[" if openers[0].endswith("[") else "")
        + (closers[0] if closers else ""),
        grammar=partial(
            marked_calls,
            marks=Marks(
                tuple(opener.rstrip("[{") for opener in openers),
                (*closers[::-1], *turns),
                shape,
                objects_only=weak,
            ),
        ),
        openers=openers,
        starts=("{", "[") if closes else (),
        doubtful=opener_missing if closes else None,
        headers=headers,
        turns=turns,
        weak=weak,
        marks=() if weak else openers,
        models=models or name,
        family=family,
    )


DIALECTS = (
    between(
        "longcat",
        ("<longcat_tool_call>",),
        ("</longcat_tool_call>",),
        body=JSON,
        family=("longcat_pairs",),
    ),
    between(
        "iquest_json",
        ("<iquest_tool_call>",),
        ("</iquest_tool_call>",),
        body=JSON,
        models="iquest",
        family=("iquest",),
    ),
    between(
        "k2_horizon_json",
        ("<ifm|tool_call>", "<ifm|tool_calls>"),
        ("</ifm|tool_call>", "</ifm|tool_calls>"),
        body=JSON,
        models="k2-horizon|k2-v3",
        family=("k2_horizon",),
    ),
    between(
        "jamba",
        ("<tool_calls>",),
        ("</tool_calls>",),
        models="jamba|hunyuan-a13b|apriel|minimax-m1",
        family=("hermes", "generic_json"),
    ),
    between(
        "nemotron",
        ("<TOOLCALL>",),
        ("</TOOLCALL>",),
        models="nemotron-(nano|[12])",
        family=("generic_json",),
    ),
    between(
        "phi4",
        ("<|tool_call|>",),
        ("<|/tool_call|>",),
        models="phi-?4|granite-3",
        turns=("<|end|>",),
        family=("firefunction", "hermes", "generic_json"),
    ),
    between(
        "firefunction",
        ("functools[", "functools{"),
        models="firefunction|phi-?4",
        weak=True,
        family=("phi4", "generic_json"),
    ),
    between(
        "internlm2",
        ("<|action_start|>", "<|plugin|>"),
        ("<|action_end|>",),
        body="<|plugin|>" + JSON,
        models="internlm",
        family=("generic_json",),
    ),
    between(
        "gigachat3",
        (
            "function call<|role_sep|>",
            "<|message_sep|>\n\nfunction call<|role_sep|>",
            "<|function_call|>",
        ),
        ("<|message_sep|>",),
        body="\n" + JSON,
        turns=("<|message_sep|>",),
        headers=("assistant<|role_sep|>\n",),
        models="gigachat",
        family=("deepseek_dsml", "generic_json"),
    ),
    between(
        "lfm2",
        ("<|tool_call_start|>",),
        ("<|tool_call_end|>",),
        body="[" + PYTHON + "]",
        family=("pythonic", "generic_json"),
    ),
    between(
        "llama4",
        ("<|python_start|>",),
        ("<|python_end|>",),
        body="[" + PYTHON + "]",
        models="llama-?4",
        turns=("<|eot|>",),
        family=("pythonic", "generic_json"),
    ),
    between(
        "olmo3",
        ("<function_calls>",),
        ("</function_calls>",),
        body=PYTHON,
        models="olmo",
        family=("pythonic",),
    ),
    between(
        "command_r_plus",
        ("Action: ```json", "Action:\n```json", "Action:```json"),
        ("```",),
        models="command-r-plus",
        family=("command_r", "generic_json"),
        weak=True,
    ),
)
