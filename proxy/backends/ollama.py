"""Ollama, by its OpenAI-compatible API.

It reads thoughts under another name, takes parts of a text for several messages, and ignores in
silence much of what it is asked for. Above all it cuts a prompt that is too long, oldest first, and
tells nobody.
"""

from dataclasses import replace
from typing import Any, ClassVar

import orjson

from proxy.backends.base import MODELS_KEPT, Backend, Look
from proxy.backends.models import Model, items_in, name_of
from proxy.backends.server_info import Facts
from proxy.chat_request.backend_body import Needs
from proxy.chat_request.request import Question
from proxy.errors import BridgeError

_BYTES_PER_TOKEN = 4
_SECOND_LOOK = 1.0  # seconds after the first


class Ollama(Backend):
    kind: ClassVar[str] = "ollama"
    needs = Needs(
        thoughts="reasoning",
        tool_choice="unread",
        max_completion_tokens=False,
        joined_text=True,
        unread=frozenset(
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
        self._looked_again_at = float("nan")
        self._inputs: dict[str | None, tuple[str, ...] | None] = {}  # by model

    @classmethod
    async def greets(cls, look: Look) -> bool:
        if (await look("/")).strip() != b"Ollama is running":
            return False
        try:
            version = orjson.loads(await look("/api/version"))
        except orjson.JSONDecodeError:
            return False
        return isinstance(version, dict) and "version" in version

    async def models(self, kept: float = MODELS_KEPT) -> list[Model]:
        """What it holds is not known before the first question has loaded a model: so there is a
        second look, and no third.
        """
        seen = self._models_at
        if (
            kept > _SECOND_LOOK
            and seen != self._looked_again_at
            and not any(model.loaded for model in self._models)
        ):
            models = await super().models(_SECOND_LOOK)
            if self._models_at != seen and seen != float("-inf"):
                self._looked_again_at = self._models_at
            return models
        return await super().models(kept)

    async def list_models(self) -> list[Model]:
        """What is loaded tells how much it holds; the length that a model was trained for is not
        what it gets here.
        """
        running = {
            name_of(item): item.get("context_length")
            for item in items_in(await self.json_if_any("/api/ps"))
        }
        return [_with(model, running) for model in await super().list_models()]

    async def facts(self, kept: float = 0.0) -> Facts:
        facts = await super().facts(kept)
        if facts.model is None or (facts.context is not None and facts.model in self._inputs):
            return replace(facts, inputs=self._inputs.get(facts.model))
        shown = await self.json_if_any("/api/show", {"model": facts.model})
        self._inputs[facts.model] = _inputs(shown)
        return replace(
            facts, context=facts.context or _num_ctx(shown), inputs=self._inputs[facts.model]
        )

    def easier(self, error: BridgeError, needs: Needs) -> Needs | None:
        if "does not support thinking" in error.message:
            return replace(needs, reasoning_effort=False)  # another model of this server may
        return super().easier(error, needs)

    def remark(self, question: Question) -> str:
        loaded, name = (
            [model for model in self._models if model.loaded],
            self.hint(question.model).model,
        )
        context = max(
            (model.context or 0 for model in [one for one in loaded if one.id == name] or loaded),
            default=0,
        )
        if not context or question.size // _BYTES_PER_TOKEN <= context:
            return super().remark(question)
        return (
            f"ollama holds {context:,} tokens and cuts longer prompts in silence; "
            f"OLLAMA_CONTEXT_LENGTH gives it more"
        )


def _with(model: Model, running: dict[Any, Any]) -> Model:
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
    """From the parameters of the model's own file: `num_ctx 8192`."""
    parameters = shown.get("parameters") if isinstance(shown, dict) else None
    for line in parameters.splitlines() if isinstance(parameters, str) else []:
        words = line.split()
        if words[:1] == ["num_ctx"] and words[-1].isdigit():
            return int(words[-1])
    return None
