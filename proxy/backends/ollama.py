"""Backend for Ollama, through its OpenAI-compatible API.

Ollama names the reasoning field `reasoning`, treats the text parts of a message as separate
messages, and silently ignores many fields. It also silently cuts the beginning of a prompt that is
too long.
"""

from dataclasses import replace
from typing import Any, ClassVar

import orjson

from proxy.backends.base import MODELS_TTL, Backend, FetchPath
from proxy.backends.models import ModelInfo, list_items, model_name
from proxy.backends.server_info import BackendInfo
from proxy.chat_request.backend_body import Capabilities
from proxy.chat_request.request import ChatRequest
from proxy.errors import BridgeError

_BYTES_PER_TOKEN = 4
_RECHECK_AFTER = 1.0  # seconds between the first two requests for the list


class Ollama(Backend):
    kind: ClassVar[str] = "ollama"
    capabilities = Capabilities(
        reasoning_field="reasoning",
        tool_choice="unread",
        max_completion_tokens=False,
        join_text=True,
        ignored_fields=frozenset(
            {
                "tool_choice",
                "n",
                "logit_bias",
                "options",
                "num_ctx",
                "top_k",
                "min_p",
                "chat_template_kwargs",
                "grammar",
            }
        ),
    )

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._rechecked_at = float("nan")
        self._inputs: dict[str | None, tuple[str, ...] | None] = {}  # input modalities by model

    @classmethod
    async def probe(cls, look: FetchPath) -> bool:
        if (await look("/")).strip() != b"Ollama is running":
            return False
        try:
            version = orjson.loads(await look("/api/version"))
        except orjson.JSONDecodeError:
            return False
        return isinstance(version, dict) and "version" in version

    async def models(self, max_age: float = MODELS_TTL) -> list[ModelInfo]:
        """Return the models; if none was loaded yet, list them once more early.

        Ollama reports the context size of a model only while the model is loaded, which the first
        request does.
        """
        seen = self._models_fetched_at
        if (
            max_age > _RECHECK_AFTER
            and seen != self._rechecked_at
            and not any(model.loaded for model in self._models)
        ):
            models = await super().models(_RECHECK_AFTER)
            if self._models_fetched_at != seen and seen != float("-inf"):
                self._rechecked_at = self._models_fetched_at
            return models
        return await super().models(max_age)

    async def list_models(self) -> list[ModelInfo]:
        """Return the models, with the actual context size of those that are loaded.

        The context size that a model was trained with is not used.
        """
        running = {
            model_name(item): item.get("context_length")
            for item in list_items(await self.optional_json("/api/ps"))
        }
        return [_merge(model, running) for model in await super().list_models()]

    async def describe(self, max_age: float = 0.0) -> BackendInfo:
        facts = await super().describe(max_age)
        if facts.model is None or (facts.context is not None and facts.model in self._inputs):
            return replace(facts, inputs=self._inputs.get(facts.model))
        shown = await self.optional_json("/api/show", {"model": facts.model})
        self._inputs[facts.model] = _inputs(shown)
        return replace(
            facts, context=facts.context or _num_ctx(shown), inputs=self._inputs[facts.model]
        )

    def relax(self, error: BridgeError, capabilities: Capabilities) -> Capabilities | None:
        if "does not support thinking" in error.message:
            # not remembered, because another model may support it
            return replace(capabilities, reasoning_effort=False)
        return super().relax(error, capabilities)

    def warning_for(self, request: ChatRequest) -> str:
        loaded, name = (
            [model for model in self._models if model.loaded],
            self.model_hint(request.model).model,
        )
        context = max(
            (model.context or 0 for model in [one for one in loaded if one.id == name] or loaded),
            default=0,
        )
        if not context or request.size // _BYTES_PER_TOKEN <= context:
            return super().warning_for(request)
        return (
            f"ollama has a context of {context:,} tokens and silently cuts longer prompts; "
            f"set OLLAMA_CONTEXT_LENGTH to raise it"
        )


def _merge(model: ModelInfo, running: dict[Any, Any]) -> ModelInfo:
    if model.id not in running:
        return model
    context = running[model.id]
    return replace(
        model, loaded=True, context=context if isinstance(context, int) and context > 0 else None
    )


def _inputs(shown: Any) -> tuple[str, ...] | None:
    capabilities = shown.get("capabilities") if isinstance(shown, dict) else None
    if not isinstance(capabilities, list):
        return None
    return (
        "text",
        *(
            name
            for name, tells in (("image", "vision"), ("audio", "audio"))
            if tells in capabilities
        ),
    )


def _num_ctx(shown: Any) -> int | None:
    """Return `num_ctx` from the `parameters` of a model, such as `num_ctx 8192`, or None."""
    parameters = shown.get("parameters") if isinstance(shown, dict) else None
    for line in parameters.splitlines() if isinstance(parameters, str) else []:
        words = line.split()
        if words[:1] == ["num_ctx"] and words[-1].isdigit():
            return int(words[-1])
    return None
