"""The models list of a backend, in every shape that was seen, and which of them a client means."""

from dataclasses import dataclass
from typing import Any

from proxy.errors import ModelNotFound


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    created: int = 0
    owned_by: str = "unknown"
    context: int | None = None
    aliases: tuple[str, ...] = ()


def models_in(listed: Any) -> list[Model]:
    """A list object, a bare array, Ollama's `models`, bare names, no data at all."""
    if isinstance(listed, dict):
        listed = listed.get("data") or listed.get("models")
    found: list[Model] = []
    for item in listed if isinstance(listed, list) else []:
        fields = item if isinstance(item, dict) else {"id": item}
        name = fields.get("id") or fields.get("name") or fields.get("model")
        if isinstance(name, str):
            found.append(_model(name, fields))
    return found


def _model(name: str, fields: dict[str, Any]) -> Model:
    meta = fields.get("meta")
    limits = [meta.get("n_ctx") if isinstance(meta, dict) else None, fields.get("max_model_len"), fields.get("context_length")]
    aliases, owner, created = fields.get("aliases"), fields.get("owned_by"), fields.get("created")
    return Model(
        id=name,
        created=created if isinstance(created, int) else 0,
        owned_by=owner if isinstance(owner, str) else "unknown",
        context=next((limit for limit in limits if isinstance(limit, int) and limit > 0), None),
        aliases=tuple(alias for alias in aliases if isinstance(alias, str)) if isinstance(aliases, list) else (),
    )


def knows(models: list[Model], name: str | None) -> bool:
    return any(name == model.id or name in model.aliases for model in models)


def choose(models: list[Model], asked: str | None, wanted: str | None) -> str | None:
    """With an unchanged client, switching the backend still works: an unknown name means the chosen or the only model."""
    if knows(models, asked):
        return asked
    if wanted:
        return wanted
    if not models:
        return asked
    if len(models) == 1:
        return models[0].id
    names = ", ".join(sorted(model.id for model in models))
    raise ModelNotFound(f"the backend has no model {asked!r}; name one of these or set BACKEND_MODEL: {names}", param="model")
