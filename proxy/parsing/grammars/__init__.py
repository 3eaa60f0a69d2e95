"""Grammars that several dialects share: each reads one way of writing calls."""
