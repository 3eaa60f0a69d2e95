"""Thoughts between tags.

SAMPLE:
<think>
The file is short, so I read it whole.
</think>

It holds three lines.
"""

from proxy.stream.dialect import Thoughts

THINK = Thoughts("<think>", "</think>")  # nearly everybody
THINKING = Thoughts("<thinking>", "</thinking>")  # Apriel 1.5, prompts made for Claude

THOUGHTS = (THINK, THINKING)
