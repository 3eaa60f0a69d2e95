"""Parsing of model output into events: text, reasoning, tool calls. No I/O."""
