"""Client protocols: each file turns events into the bytes of one protocol."""
