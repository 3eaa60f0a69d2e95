"""Thoughts between tags.

SAMPLE:
<think>
The file is short, so I read it whole.
</think>

It holds three lines.
"""

from proxy.parsing.dialect import Dialect, Thoughts, sample

STARTS = ("Here is", "Here's")
RESPONSES = tuple(f"{start} my response:" for start in STARTS)

THOUGHTS = (
    Thoughts("<think>", "</think>"),  # nearly everybody
    Thoughts("<thinking>", "</thinking>"),  # Apriel 1.5, prompts made for Claude
    Thoughts("<seed:think>", "</seed:think>"),  # Seed-OSS
    Thoughts("<mm:think>", "</mm:think>"),  # MiniMax-M3
    Thoughts("<ifm|think>", "</ifm|think>"),  # K2-Horizon, in three depths
    Thoughts("<ifm|think_fast>", "</ifm|think_fast>"),
    Thoughts("<ifm|think_faster>", "</ifm|think_faster>"),
    Thoughts("[THINK]", "[/THINK]"),  # Magistral, Ministral-3
    Thoughts("<|START_THINKING|>", "<|END_THINKING|>"),  # Command-R7B, Command-A
    Thoughts("<|channel>thought\n", "<channel|>"),  # Gemma 4
    Thoughts("<|channel>thought", "<channel|>"),
    Thoughts("<|channel>", "<channel|>"),
    Thoughts("◁think▷", "◁/think▷"),  # Kimi-VL
    Thoughts("<|open|>think<|sep|>", "<|close|>think<|sep|>"),  # Kimi K3
    Thoughts("<|plamo:begin_think:plamo|>", "<|plamo:end_think:plamo|>"),
    Thoughts("<|content_thinking|>", "<|end_message|>"),  # Inkling
    Thoughts("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    Thoughts("<|begin_of_thought|>", "<|end_of_thought|>"),  # OpenThinker, Sky-T1
    Thoughts("<reasoning>", "</reasoning>", models="reason|nemotron|synthia|olmo"),
    Thoughts("Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]", models="apriel"),
    *(
        Thoughts(
            f"{start} my thought process:",
            RESPONSES[0],
            models="granite",
            other_closers=RESPONSES[1:],
        )
        for start in STARTS
    ),
    Thoughts(  # its answer stands between tags, too
        "<think>",
        "</think>\n<answer>\n",
        "hunyuan",
        ("</think>\n<answer>",),
        "</think>\n<answer>",
        ("\n</answer>", "</answer>"),
    ),
)
LABELS = (
    *(one for one in THOUGHTS if one.models and one.opener != "<think>"),
    Thoughts("thought\n", "<channel|>"),
)
"""How thoughts begin that the prompt has opened: there these words are certain."""

DIALECT = Dialect(
    "thoughts",
    sample(__doc__),
    headers=(
        *("<|begin_of_solution|>", "[BEGIN FINAL RESPONSE]"),
        # No thoughts at all.
        *(f"{start} my thought process:{response}" for start in STARTS for response in RESPONSES),
    ),
    turns=("<|end_of_solution|>", "[END FINAL RESPONSE]"),
)
"""What models that write no calls of their own put around their answers."""
