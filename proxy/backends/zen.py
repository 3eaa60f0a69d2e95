"""Backend for OpenCode Zen, a gateway to many providers that binds each model to one API.

Zen routes a conversation by its session header and refuses requests without one. The type of an
error is reliable, but its status would mislead clients, so the status is replaced. The free models
serve OpenCode only; this proxy passes on the user agent of the client and never fakes it.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from proxy.backends.address import NO_KEY
from proxy.backends.base import MODELS_TTL, Backend, Headers
from proxy.backends.error_mapping import parse_error_body, retry_headers
from proxy.backends.models import ModelInfo, usable_names
from proxy.backends.server_info import BackendInfo, ModelsResponse
from proxy.chat_request.request import ChatRequest
from proxy.chat_request.session_id import session_id
from proxy.errors import BackendRefused, BackendStatusError, BridgeError, ModelNotFound, OutOfCredit

_SESSION, _AGENT = b"x-opencode-session", b"user-agent"
# In the second and third, OpenCode 2 sends the session of a sub-agent's parent.
_SESSIONS_OF_CLIENTS = (b"x-opencode-session-id", b"x-session-id", b"x-session-affinity")
# The model list does not contain the API of a model, so model families are matched by name.
_WIRES = {
    re.compile(r"gpt-(?!oss)|o\d"): "/responses",
    re.compile(r"claude-|qwen3\.\d"): "/messages",
    re.compile(r"gemini-"): "/models/{id}:generateContent",
}
_KEY = "zen needs your own key; get one at https://opencode.ai/auth and set ZEN_API_KEY"
_PAID = (
    f"{_KEY}, and choose a paid model; the free ones serve OpenCode only, "
    f"and llama-bridge does not impersonate it"
)
_STATUSES = {
    "AuthError": 401,
    "CreditsError": 402,
    "MonthlyLimitError": 402,
    "UserLimitError": 402,
    "RegionError": 403,
    "FreeTierError": 403,
    "ModelError": 404,
    "UpgradeRequired": 426,
    "RateLimitError": 429,
    "FreeUsageLimitError": 429,
    "GoUsageLimitError": 429,
    "BlackUsageLimitError": 429,
}
_EXPLAINED = {
    "AuthError": _KEY,
    "FreeTierError": _PAID,
    "UpgradeRequired": _PAID,
}


class Zen(Backend):
    kind: ClassVar[str] = "zen"

    @classmethod
    def matches(cls, seen: ModelsResponse) -> bool:
        return seen.owned_by("opencode")

    def request_headers(self, request: ChatRequest, headers: Headers) -> Headers:
        given = dict(headers)
        added = [] if _AGENT in given else [(_AGENT, b"llama-bridge")]
        if _SESSION not in given:
            session = next((given[name] for name in _SESSIONS_OF_CLIENTS if given.get(name)), None)
            added.append((_SESSION, session or session_id(request.body).encode()))
        return [*headers, *added]

    def map_error(self, status: int, body: bytes, headers: Mapping[str, str]) -> BridgeError:
        message, fields = parse_error_body(body)
        kind = str(fields.get("type"))
        said = _STATUSES.get(kind)
        if said is None:
            error = super().map_error(status, body, headers)
            if type(error) is BackendRefused and "type" in fields:
                error.type = kind
            return error
        if "not supported for format" in message:  # a model family that is missing in _WIRES
            error = BackendRefused(
                f"{message}; available here: {usable_names(self._models)}", param="model"
            )
        elif said == 404:
            error = ModelNotFound(message, param="model")
        elif said == 402:
            error = OutOfCredit(message)
        else:
            explained = f"{message} ({_EXPLAINED[kind]})" if kind in _EXPLAINED else message
            error = BackendStatusError(
                explained, status=said, type=kind, headers=retry_headers(headers)
            )
        error.type = kind  # clients match on these types
        return error

    async def list_models(self) -> list[ModelInfo]:
        return [
            replace(model, only_endpoint=_wire(model.id)) for model in await super().list_models()
        ]

    async def describe(self, max_age: float = MODELS_TTL) -> BackendInfo:
        """Return the model, its context size and its modalities, from a cached model list.

        By default `/health` must not send a request to a public server each time.
        """
        facts = await super().describe(max_age)
        address = await self.provider.address()
        return (
            replace(facts, advice=_KEY)
            if address.is_zen and address.key in (None, NO_KEY)
            else facts
        )


def _wire(name: str) -> str | None:
    return next((wire for family, wire in _WIRES.items() if family.match(name)), None)
