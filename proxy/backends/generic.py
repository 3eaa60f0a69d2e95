"""Any server that speaks OpenAI's chat completions and is nothing that we know better."""

from proxy.backends.base import Backend


class Generic(Backend):
    kind = "generic"
