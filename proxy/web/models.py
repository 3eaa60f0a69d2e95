"""Endpoint `/v1/models`: the model list of every kind of backend in the same JSON format."""

import orjson

from proxy.backends.models import ModelInfo
from proxy.errors import MethodNotAllowed, ModelNotFound
from proxy.web.connection import Connection
from proxy.web.state import AppState

_JSON = [(b"content-type", b"application/json")]


class Models:
    def __init__(self, app_state: AppState) -> None:
        self._app_state = app_state

    async def __call__(self, connection: Connection) -> None:
        if connection.scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed("method not allowed; use GET", headers={"allow": "GET, HEAD"})
        backend = await self._app_state.backend()
        models = await backend.models(max_age=1.0)
        wanted = connection.scope["path_params"].get("id")
        if wanted is None:
            body = orjson.dumps({"object": "list", "data": [_as_json(model) for model in models]})
        else:
            found = next(
                (model for model in models if wanted == model.id or wanted in model.aliases), None
            )
            if found is None:
                raise ModelNotFound(
                    f"unknown model {wanted!r}; GET /v1/models lists the models", param="model"
                )
            body = orjson.dumps(_as_json(found))
        await connection.respond(200, body, _JSON)


def _as_json(model: ModelInfo) -> dict[str, object]:
    shown: dict[str, object] = {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by,
    }
    architecture = (
        {"input_modalities": list(model.inputs), "output_modalities": ["text"]}
        if model.inputs
        else None
    )
    optional = {
        "context_length": model.context,
        "architecture": architecture,
        "answers_only_at": model.only_endpoint,
    }
    return shown | {key: value for key, value in optional.items() if value is not None}
