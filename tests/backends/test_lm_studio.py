"""LM Studio: which models are in memory, and how much they hold, by either of its own APIs."""

from typing import Any

import httpx
import pytest

from proxy.backends.address import BackendAddress
from proxy.backends.http import HttpClient
from proxy.backends.lm_studio import LmStudio
from proxy.backends.provider import FixedProvider
from tests.backend import Backend, models

UNKNOWN = httpx.Response(200, json={"error": "Unexpected endpoint or method. (GET /api/v0/models)"})
V0 = {
    "data": [
        {
            "id": "a",
            "type": "llm",
            "state": "loaded",
            "max_context_length": 131072,
            "loaded_context_length": 4096,
        },
        {"id": "b", "type": "llm", "state": "not-loaded", "max_context_length": 32768},
    ]
}
V1 = {
    "models": [
        {
            "key": "a",
            "max_context_length": 131072,
            "loaded_instances": [{"id": "a", "config": {"context_length": 8192}}],
        },
        {"key": "b", "max_context_length": 32768, "loaded_instances": []},
    ]
}


def lm_studio(v0: Any, v1: Any = UNKNOWN) -> LmStudio:
    behind = Backend({"/v1/models": models("a", "b"), "/api/v0/models": v0, "/api/v1/models": v1})
    return LmStudio(HttpClient(behind), FixedProvider(BackendAddress("http://10.0.0.5/v1")))


@pytest.mark.parametrize(
    ("v0", "v1", "context"),
    [
        (httpx.Response(200, json=V0), UNKNOWN, 4096),
        (UNKNOWN, httpx.Response(200, json=V1), 8192),
        (httpx.Response(200, json={"data": [{"id": "a", "state": "loaded"}]}), UNKNOWN, None),
        (
            UNKNOWN,
            httpx.Response(
                200,
                json={"models": [{"key": "a", "loaded_instances": [{"id": "x", "config": None}]}]},
            ),
            None,
        ),
    ],
)
async def test_the_loaded_model_is_the_one_that_an_unknown_name_means(
    v0: Any, v1: Any, context: int | None
) -> None:
    backend = lm_studio(v0, v1)
    assert await backend.resolve_model("my-model") == "a"
    facts = await backend.describe()
    assert (facts.model, facts.context) == ("a", context)


@pytest.mark.parametrize(
    ("v0", "v1"),
    [
        (
            httpx.Response(
                200, json={"data": [{"id": "a", "type": "llm"}, {"id": "b", "type": "embeddings"}]}
            ),
            UNKNOWN,
        ),
        (
            UNKNOWN,
            httpx.Response(
                200,
                json={"models": [{"key": "a", "type": "llm"}, {"key": "b", "type": "embedding"}]},
            ),
        ),
    ],
)
async def test_the_model_for_embeddings_that_it_ships_with_is_not_meant(v0: Any, v1: Any) -> None:
    backend = lm_studio(v0, v1)
    assert await backend.resolve_model("my-model") == "a"
    assert [model.only_endpoint for model in await backend.models()] == [None, "/embeddings"]


async def test_where_neither_tells() -> None:
    assert [(model.loaded, model.context) for model in await lm_studio(UNKNOWN).models()] == [
        (False, None),
        (False, None),
    ]


@pytest.mark.parametrize(
    ("shown", "inputs"),
    [
        ({"type": "vlm"}, ("text", "image")),
        ({"type": "llm", "capabilities": ["tool_use"]}, ("text",)),
        ({"type": "llm", "capabilities": {"vision": True}}, ("text", "image")),
        ({"capabilities": {"vision": False}}, ("text",)),
        ({}, None),
    ],
)
async def test_which_models_see(shown: dict[str, Any], inputs: Any) -> None:
    a, b = await lm_studio(httpx.Response(200, json={"data": [{"id": "a", **shown}]})).models()
    assert (a.inputs, b.inputs) == (inputs, None)
