"""Dialects that consist of a pair of markers around JSON or Python-style calls.

Each one is a single call of `delimited_dialect`.

SAMPLE:
<longcat_tool_call>{"name": "read_file", "arguments": {"path": "notes.md"}}</longcat_tool_call>
"""

from functools import partial

from proxy.parsing.calls import CallWriter
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.delimited_calls import (
    CLOSERS,
    Delimiters,
    delimited_calls,
    opener_missing,
)
from proxy.parsing.grammars.json_calls import JsonFormat

JSON = sample(__doc__).partition(">")[2].partition("<")[0]
PYTHON = 'read_file(path="notes.md")'


def delimited_dialect(
    name: str,
    openers: tuple[str, ...],
    closers: tuple[str, ...] = (),
    *,
    body: str = "[" + JSON + "]",
    model_pattern: str = "",
    end_tokens: tuple[str, ...] = (),
    headers: tuple[str, ...] = (),
    family: tuple[str, ...] = (),
    weak: bool = False,
) -> Dialect:
    """Build a dialect whose calls are between two markers.

    `body` is the text between the markers in the sample. `weak` means that the markers are ordinary
    words, so that only JSON that names a declared tool is recognized.
    """
    closes = any(closer in CLOSERS for closer in closers)
    json_format = JsonFormat(
        ends=(*closers, *end_tokens),
        resolve_name=CallWriter.resolve_declared if weak else CallWriter.resolve_name,
    )
    return Dialect(
        name,
        openers[0]
        + body.removeprefix("[" if openers[0].endswith("[") else "")
        + (closers[0] if closers else ""),
        grammar=partial(
            delimited_calls,
            delimiters=Delimiters(
                tuple(opener.rstrip("[{") for opener in openers),
                (*closers[::-1], *end_tokens),
                json_format,
                objects_only=weak,
            ),
        ),
        openers=openers,
        tentative_openers=("{", "[") if closes else (),
        tentative_grammar=opener_missing if closes else None,
        headers=headers,
        end_tokens=end_tokens,
        weak=weak,
        template_markers=() if weak else openers,
        model_pattern=model_pattern or name,
        family=family,
    )


DIALECTS = (
    delimited_dialect(
        "longcat",
        ("<longcat_tool_call>",),
        ("</longcat_tool_call>",),
        body=JSON,
        family=("longcat_pairs",),
    ),
    delimited_dialect(
        "iquest_json",
        ("<iquest_tool_call>",),
        ("</iquest_tool_call>",),
        body=JSON,
        model_pattern="iquest",
        family=("iquest",),
    ),
    delimited_dialect(
        "k2_horizon_json",
        ("<ifm|tool_call>", "<ifm|tool_calls>"),
        ("</ifm|tool_call>", "</ifm|tool_calls>"),
        body=JSON,
        model_pattern="k2-horizon|k2-v3",
        family=("k2_horizon",),
    ),
    delimited_dialect(
        "jamba",
        ("<tool_calls>",),
        ("</tool_calls>",),
        model_pattern="jamba|hunyuan-a13b|apriel|minimax-m1",
        family=("hermes", "generic_json"),
    ),
    delimited_dialect(
        "nemotron",
        ("<TOOLCALL>",),
        ("</TOOLCALL>",),
        model_pattern="nemotron-(nano|[12])",
        family=("generic_json",),
    ),
    delimited_dialect(
        "phi4",
        ("<|tool_call|>",),
        ("<|/tool_call|>",),
        model_pattern="phi-?4|granite-3",
        end_tokens=("<|end|>",),
        family=("firefunction", "hermes", "generic_json"),
    ),
    delimited_dialect(
        "firefunction",
        ("functools[", "functools{"),
        model_pattern="firefunction|phi-?4",
        weak=True,
        family=("phi4", "generic_json"),
    ),
    delimited_dialect(
        "internlm2",
        ("<|action_start|>", "<|plugin|>"),
        ("<|action_end|>",),
        body="<|plugin|>" + JSON,
        model_pattern="internlm",
        family=("generic_json",),
    ),
    delimited_dialect(
        "gigachat3",
        (
            "function call<|role_sep|>",
            "<|message_sep|>\n\nfunction call<|role_sep|>",
            "<|function_call|>",
        ),
        ("<|message_sep|>",),
        body="\n" + JSON,
        end_tokens=("<|message_sep|>",),
        headers=("assistant<|role_sep|>\n",),
        model_pattern="gigachat",
        family=("deepseek_dsml", "generic_json"),
    ),
    delimited_dialect(
        "lfm2",
        ("<|tool_call_start|>",),
        ("<|tool_call_end|>",),
        body="[" + PYTHON + "]",
        family=("pythonic", "generic_json"),
    ),
    delimited_dialect(
        "llama4",
        ("<|python_start|>",),
        ("<|python_end|>",),
        body="[" + PYTHON + "]",
        model_pattern="llama-?4",
        end_tokens=("<|eot|>",),
        family=("pythonic", "generic_json"),
    ),
    delimited_dialect(
        "olmo3",
        ("<function_calls>",),
        ("</function_calls>",),
        body=PYTHON,
        model_pattern="olmo",
        family=("pythonic",),
    ),
    delimited_dialect(
        "command_r_plus",
        ("Action: ```json", "Action:\n```json", "Action:```json"),
        ("```",),
        model_pattern="command-r-plus",
        family=("command_r", "generic_json"),
        weak=True,
    ),
)
