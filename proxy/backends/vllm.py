"""Backend for vLLM.

Without `--enable-auto-tool-choice`, vLLM refuses requests that offer tools and let the model
choose. Then the request is repeated with `tool_choice: "none"`: the tools are still in the prompt,
so the model writes its calls as text, which this proxy parses.
"""

from dataclasses import replace
from typing import ClassVar

from proxy.backends.base import Backend
from proxy.backends.server_info import ModelsResponse
from proxy.chat_request.backend_body import Capabilities
from proxy.errors import BridgeError


class Vllm(Backend):
    kind: ClassVar[str] = "vllm"

    @classmethod
    def matches(cls, seen: ModelsResponse) -> bool:
        return seen.owned_by("vllm") or seen.has_key("max_model_len")

    def relax(self, error: BridgeError, capabilities: Capabilities) -> Capabilities | None:
        if "--enable-auto-tool-choice" in error.message and self.parses_text:
            self.capabilities = replace(self.capabilities, auto_tool_choice=False)
            return replace(capabilities, auto_tool_choice=False)
        return super().relax(error, capabilities)
