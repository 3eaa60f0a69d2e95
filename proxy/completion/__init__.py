"""One answer to one chat request, from the first attempt to its last byte: no ASGI."""
