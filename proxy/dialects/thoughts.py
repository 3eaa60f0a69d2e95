"""Tags around reasoning, and markers around the answers of models that write no calls.

SAMPLE:
<think>
The file is short, so I read it whole.
</think>

It holds three lines.
"""

from proxy.parsing.dialect import Dialect, ReasoningTags, sample

STARTS = ("Here is", "Here's")
RESPONSES = tuple(f"{start} my response:" for start in STARTS)

REASONING_TAGS = (
    ReasoningTags("<think>", "</think>"),  # most models
    ReasoningTags("<thinking>", "</thinking>"),  # Apriel 1.5, prompts made for Claude
    ReasoningTags("<seed:think>", "</seed:think>"),  # Seed-OSS
    ReasoningTags("<mm:think>", "</mm:think>"),  # MiniMax-M3
    ReasoningTags("<ifm|think>", "</ifm|think>"),  # K2-Horizon, in three depths
    ReasoningTags("<ifm|think_fast>", "</ifm|think_fast>"),
    ReasoningTags("<ifm|think_faster>", "</ifm|think_faster>"),
    ReasoningTags("[THINK]", "[/THINK]"),  # Magistral, Ministral-3
    ReasoningTags("<|START_THINKING|>", "<|END_THINKING|>"),  # Command-R7B, Command-A
    ReasoningTags("<|channel>thought\n", "<channel|>"),  # Gemma 4
    ReasoningTags("<|channel>thought", "<channel|>"),
    ReasoningTags("<|channel>", "<channel|>"),
    ReasoningTags("◁think▷", "◁/think▷"),  # Kimi-VL
    ReasoningTags("<|open|>think<|sep|>", "<|close|>think<|sep|>"),  # Kimi K3
    ReasoningTags("<|plamo:begin_think:plamo|>", "<|plamo:end_think:plamo|>"),
    ReasoningTags("<|content_thinking|>", "<|end_message|>"),  # Inkling
    ReasoningTags("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    ReasoningTags("<|begin_of_thought|>", "<|end_of_thought|>"),  # OpenThinker, Sky-T1
    ReasoningTags("<reasoning>", "</reasoning>", model_pattern="reason|nemotron|synthia|olmo"),
    ReasoningTags(
        "Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]", model_pattern="apriel"
    ),
    *(
        ReasoningTags(
            f"{start} my thought process:",
            RESPONSES[0],
            model_pattern="granite",
            other_closers=RESPONSES[1:],
        )
        for start in STARTS
    ),
    ReasoningTags(  # the answer is in tags too
        "<think>",
        "</think>\n<answer>\n",
        "hunyuan",
        ("</think>\n<answer>",),
        "</think>\n<answer>",
        ("\n</answer>", "</answer>"),
    ),
)
LABELS = (
    *(one for one in REASONING_TAGS if one.model_pattern and one.opener != "<think>"),
    ReasoningTags("thought\n", "<channel|>"),
)
"""Texts that open reasoning if the prompt already opened it.

Elsewhere these words are ordinary text, unless the model is known to use them.
"""

DIALECT = Dialect(
    "thoughts",
    sample(__doc__),
    headers=(
        *("<|begin_of_solution|>", "[BEGIN FINAL RESPONSE]"),
        # No reasoning at all.
        *(f"{start} my thought process:{response}" for start in STARTS for response in RESPONSES),
    ),
    end_tokens=("<|end_of_solution|>", "[END FINAL RESPONSE]"),
)
"""Markers that models without calls put around their answers."""
