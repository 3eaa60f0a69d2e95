"""Answering of a chat request, from the first attempt to the last byte, independent of ASGI."""
