"""Backend for LM Studio.

Its OpenAI-compatible model list contains every model on disk, without the state or context size.
Its own API reports both. LM Studio returns 200 for any path, so a status proves nothing. A
tool_choice must be a string, and JSON output requires a schema.
"""

from dataclasses import replace
from typing import Any, ClassVar

import orjson

from proxy.backends.base import Backend, FetchPath
from proxy.backends.models import ModelInfo, list_items, model_name
from proxy.chat_request.backend_body import Capabilities

# LM Studio ships with an embedding model, so the list has several entries even if only one of them
# can chat.
_EMBEDDING_TYPES = ("embeddings", "embedding")


class LmStudio(Backend):
    kind: ClassVar[str] = "lm_studio"
    capabilities = Capabilities(tool_choice="words", max_completion_tokens=False, json_object=False)

    @classmethod
    async def probe(cls, look: FetchPath) -> bool:
        try:
            return bool(orjson.loads(await look("/lmstudio-greeting")) == {"lmstudio": True})
        except orjson.JSONDecodeError:
            return False

    async def list_models(self) -> list[ModelInfo]:
        listed = list_items(await self.optional_json("/api/v0/models")) or list_items(
            await self.optional_json("/api/v1/models")
        )
        loaded, shown = _loaded_models(listed), {_name(item): item for item in listed}
        return [_merge(model, loaded, shown.get(model.id)) for model in await super().list_models()]


def _merge(
    model: ModelInfo, loaded: dict[Any, int | None], shown: dict[str, Any] | None
) -> ModelInfo:
    if shown is not None and shown.get("type") in _EMBEDDING_TYPES:
        model = replace(model, only_endpoint="/embeddings")
    elif shown is not None:
        model = replace(model, inputs=_inputs(shown))
    return replace(model, loaded=True, context=loaded[model.id]) if model.id in loaded else model


def _inputs(shown: dict[str, Any]) -> tuple[str, ...] | None:
    """Return the input modalities of a model listed by `/api/v0` or `/api/v1`, or None."""
    kind, capabilities = shown.get("type"), shown.get("capabilities")
    vision = capabilities.get("vision") if isinstance(capabilities, dict) else None
    if kind == "vlm" or vision is True:
        return ("text", "image")
    return ("text",) if kind == "llm" or vision is False else None


def _name(item: dict[str, Any]) -> Any:
    return model_name(item) or item.get("key")


def _loaded_models(listed: list[dict[str, Any]]) -> dict[Any, int | None]:
    """Return the context size of each loaded model listed by `/api/v0` or `/api/v1`."""
    loaded: dict[Any, int | None] = {}
    for item in listed:
        if item.get("state") == "loaded":
            loaded[_name(item)] = _number(item.get("loaded_context_length"))
        for instance in list_items(item.get("loaded_instances")):
            config = instance.get("config")
            context = _number(config.get("context_length")) if isinstance(config, dict) else None
            loaded[instance.get("id")] = loaded[item.get("key")] = context
    return loaded


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
