"""A demo model of 400 kB that makes the real llama.cpp leak tool calls.

tools/tiny_model/README.md describes what it does and how it was made.
"""

from pathlib import Path

MODEL: Path = Path(__file__).with_name("tiny-toolcaller.gguf")
