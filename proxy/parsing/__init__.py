"""No I/O here: bytes become chunks, text becomes events."""
