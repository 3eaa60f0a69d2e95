"""How long tests wait, on any machine."""

HANGS = 300.0
"""Seconds after which a test that hangs fails. No machine is so slow that a test needs them."""

PROMPT = 15.0
"""Seconds that something immediate may take on a busy machine; what it must not wait for takes
longer.
"""
