"""Backend for any server with OpenAI's chat completions API that no other kind matches."""

from proxy.backends.base import Backend


class Generic(Backend):
    kind = "generic"
