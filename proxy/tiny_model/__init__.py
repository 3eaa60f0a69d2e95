"""A model of 400 kB that makes the real llama.cpp leak tool calls: what it does and how it was
made is told in README.md.
"""

from pathlib import Path

MODEL: Path = Path(__file__).with_name("tiny-toolcaller.gguf")
