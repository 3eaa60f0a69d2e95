"""Step-3: the markers of DeepSeek around Anthropic-like tags.

SAMPLE:
<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="read_file"><steptml:parameter name="path">notes.md</steptml:parameter></steptml:invoke><｜tool_call_end｜><｜tool_calls_end｜>
"""  # noqa: E501 - the sample is one line

from dataclasses import replace
from functools import partial

from proxy.dialects.anthropic import xml_format
from proxy.parsing.dialect import Dialect, sample
from proxy.parsing.grammars.xml_calls import xml_calls

TAGS = xml_format(prefix="steptml:")
XML_FORMAT = replace(
    TAGS,
    openers=("<｜tool_calls_begin｜>", "<｜tool_call_begin｜>", "function<｜tool_sep｜>"),
    function_closers=(*TAGS.function_closers, "<｜tool_call_end｜>"),
    wrong_closers=("<｜tool_call_end｜>",),
    closers=("<｜tool_calls_end｜>",),
    noise=("<｜tool_call_begin｜>", "function<｜tool_sep｜>"),
)

DIALECT = Dialect(
    "step3",
    sample(__doc__),
    grammar=partial(xml_calls, xml_format=XML_FORMAT),
    openers=("<｜tool_calls_begin｜>", "<｜tool_call_begin｜>", "<steptml:invoke"),
    template_markers=("<steptml:",),
    model_pattern="step-?3(?!.5)",
)
