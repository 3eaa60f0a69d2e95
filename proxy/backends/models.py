"""Parsing of model lists in the formats that backends use, and the choice of a model."""

from dataclasses import dataclass
from typing import Any

from proxy.errors import BackendRefused, ModelNotFound


@dataclass(frozen=True, slots=True)
class ModelInfo:
    id: str
    created: int = 0
    owned_by: str = "unknown"
    context: int | None = None
    aliases: tuple[str, ...] = ()
    loaded: bool = False  # whether the server reports it as loaded into memory
    inputs: tuple[str, ...] | None = None  # input modalities: text, image, audio; None if unknown
    only_endpoint: str | None = (
        None  # path that the model requires if it does not support /chat/completions
    )


def parse_models(listed: Any) -> list[ModelInfo]:
    return [
        _model(name, fields)
        for fields in list_items(listed)
        if isinstance(name := model_name(fields), str)
    ]


def list_items(listed: Any) -> list[dict[str, Any]]:
    """Return the items of a model list as dicts.

    Accepts OpenAI's list object, Ollama's `models`, a bare array, and an array of names. Anything
    else is an empty list.
    """
    if isinstance(listed, dict):
        listed = listed.get("data") or listed.get("models")
    return (
        [item if isinstance(item, dict) else {"id": item} for item in listed]
        if isinstance(listed, list)
        else []
    )


def model_name(fields: dict[str, Any]) -> Any:
    return fields.get("id") or fields.get("name") or fields.get("model")


def _model(name: str, fields: dict[str, Any]) -> ModelInfo:
    meta, status = fields.get("meta"), fields.get("status")
    limits = [
        meta.get("n_ctx") if isinstance(meta, dict) else None,
        fields.get("max_model_len"),
        fields.get("context_length"),
    ]
    aliases, owner, created = fields.get("aliases"), fields.get("owned_by"), fields.get("created")
    return ModelInfo(
        id=name,
        created=created if isinstance(created, int) else 0,
        owned_by=owner if isinstance(owner, str) else "unknown",
        context=next((limit for limit in limits if isinstance(limit, int) and limit > 0), None),
        aliases=tuple(alias for alias in aliases if isinstance(alias, str))
        if isinstance(aliases, list)
        else (),
        inputs=_inputs(fields.get("architecture")),
        # Only llama.cpp in router mode reports this.
        loaded=isinstance(status, dict) and status.get("value") == "loaded",
    )


def _inputs(architecture: Any) -> tuple[str, ...] | None:
    """Return the input modalities from `architecture`, a field of llama.cpp and OpenRouter."""
    listed = architecture.get("input_modalities") if isinstance(architecture, dict) else None
    return (
        tuple(one for one in listed if isinstance(one, str)) if isinstance(listed, list) else None
    )


def has_model(models: list[ModelInfo], name: str | None) -> bool:
    return any(name == model.id or name in model.aliases for model in models)


def choose_model(models: list[ModelInfo], requested: str | None, default: str | None) -> str | None:
    """Return the model to request, given the name that the client sent.

    In this order: the requested model if the backend has it, the default, the only model, the only
    loaded model. So a client keeps working when the backend changes. If the list is empty, the
    requested name is passed on; otherwise the choice is unclear and raises ModelNotFound.
    """
    chosen = requested if has_model(models, requested) else default
    if chosen:
        _check_endpoint(models, chosen)
        return chosen
    usable = [model for model in models if model.only_endpoint is None]
    for candidates in (usable, [model for model in usable if model.loaded]):
        if len(candidates) == 1:
            return candidates[0].id
    if not models:
        return requested
    raise ModelNotFound(
        (
            f"unknown model {requested!r}; use one of these, or set BACKEND_MODEL to one: "
            f"{usable_names(models)}"
        ),
        param="model",
    )


def usable_names(models: list[ModelInfo]) -> str:
    return ", ".join(sorted(model.id for model in models if model.only_endpoint is None))


def _check_endpoint(models: list[ModelInfo], chosen: str) -> None:
    wire = next((model.only_endpoint for model in models if chosen == model.id), None)
    if wire is not None:
        names = usable_names(models)
        raise BackendRefused(
            (
                f"{chosen!r} is only available at {wire}, not at /chat/completions; "
                f"available here: {names}"
            ),
            param="model",
        )
