"""Grammars shared by several dialects; each one reads one notation for tool calls."""
