"""vLLM: close to OpenAI's own words.

Started without its parser of calls it refuses every question that offers tools and leaves the
choice to the model. The same tools with `tool_choice: "none"` stand in the prompt all the same, the
model writes its calls as text, and we read text.
"""

from dataclasses import replace
from typing import ClassVar

from proxy.backends.base import Backend
from proxy.backends.server_info import Seen
from proxy.chat_request.backend_body import Needs
from proxy.errors import BridgeError


class Vllm(Backend):
    kind: ClassVar[str] = "vllm"

    @classmethod
    def recognises(cls, seen: Seen) -> bool:
        return seen.owned_by("vllm") or seen.tells("max_model_len")

    def easier(self, error: BridgeError, needs: Needs) -> Needs | None:
        if "--enable-auto-tool-choice" in error.message and self.text_is_read:
            self.needs = replace(self.needs, auto_tool_choice=False)
            return replace(needs, auto_tool_choice=False)
        return super().easier(error, needs)
