"""One answer to one chat request, from the first attempt to the last byte, without ASGI."""
