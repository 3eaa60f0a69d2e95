"""Command-R7B and Command-A: an array of JSON objects between action markers.

The text of the answer is between response markers.

SAMPLE:
<|START_ACTION|>[
    {"tool_call_id": "0", "tool_name": "read_file", "parameters": {"path": "notes.md"}}
]<|END_ACTION|>

Seen in practice: no closing marker; no id.
"""

from functools import partial

from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.delimited_calls import Delimiters, delimited_calls, opener_missing
from proxy.parsing.grammars.json_calls import JsonFormat

TURNS = ("<|END_RESPONSE|>", "<|END_TEXT|>", "<|END_OF_TURN_TOKEN|>")
DELIMITERS = Delimiters(
    ("<|START_ACTION|>",), ("<|END_ACTION|>",), JsonFormat(ends=("<|END_ACTION|>", *TURNS))
)

DIALECT = Dialect(
    "command_r",
    sample(__doc__),
    grammar=partial(delimited_calls, delimiters=DELIMITERS),
    openers=DELIMITERS.openers,
    tentative_openers=("[", "{"),
    tentative_grammar=opener_missing,
    headers=("<|START_RESPONSE|>", "<|START_TEXT|>", "<|CHATBOT_TOKEN|>"),
    end_tokens=TURNS,
    template_markers=DELIMITERS.openers,
    model_pattern="command-?(r|a)|c4ai|cohere",
    family=("command_r_plus", "generic_json"),
)
