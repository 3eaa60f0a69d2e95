"""ASGI in, ASGI out."""
