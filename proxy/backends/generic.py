"""Any server with OpenAI's chat completions API that is not recognized as another kind."""

from proxy.backends.base import Backend


class Generic(Backend):
    kind = "generic"
