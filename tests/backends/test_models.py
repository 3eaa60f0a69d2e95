"""A models list in every shape, and the model that a client means."""

from typing import Any

import pytest

from proxy.backends.models import ModelInfo, choose_model, has_model, parse_models
from proxy.errors import BackendRefused, ModelNotFound

FULL = {
    "id": "m",
    "created": 5,
    "owned_by": "llamacpp",
    "aliases": ["n", 3],
    "meta": {"n_ctx": 512, "n_ctx_train": 9},
}


@pytest.mark.parametrize(
    ("listed", "right"),
    [
        ({"object": "list", "data": [FULL]}, [ModelInfo("m", 5, "llamacpp", 512, ("n",))]),
        ([FULL], [ModelInfo("m", 5, "llamacpp", 512, ("n",))]),
        ({"models": [{"name": "tiny"}]}, [ModelInfo("tiny")]),
        ({"data": [{"id": "v", "max_model_len": 4096}]}, [ModelInfo("v", context=4096)]),
        (
            {
                "data": [
                    {
                        "id": "v",
                        "context_length": 0,
                        "meta": "x",
                        "aliases": "x",
                        "created": "x",
                        "owned_by": 1,
                    }
                ]
            },
            [ModelInfo("v")],
        ),
        ({"data": ["a", {"model": "b"}, 5, {"x": 1}]}, [ModelInfo("a"), ModelInfo("b")]),
        (
            {
                "data": [
                    {"id": "r", "status": {"value": "loaded"}},
                    {"id": "s", "status": {"value": "unloaded"}},
                ]
            },
            [ModelInfo("r", loaded=True), ModelInfo("s")],
        ),
        ({"object": "list", "data": None}, []),
        (None, []),
        ("text", []),
    ],
)
def test_every_shape(listed: Any, right: list[ModelInfo]) -> None:
    assert parse_models(listed) == right


ONE, TWO = [ModelInfo("a", aliases=("alias",))], [ModelInfo("a"), ModelInfo("b")]


def test_a_known_name_stays() -> None:
    assert choose_model(TWO, "b", "a") == "b"
    assert choose_model(ONE, "alias", None) == "alias"
    assert has_model(ONE, "alias")
    assert not has_model(ONE, None)


def test_an_unknown_name_means_the_chosen_or_the_only_model() -> None:
    assert choose_model(TWO, "x", "b") == "b"
    assert choose_model(ONE, "x", None) == "a"
    assert choose_model(ONE, None, None) == "a"
    assert choose_model([], "x", None) == "x"
    assert choose_model([], "x", "b") == "b"


def test_several_and_none_chosen() -> None:
    with pytest.raises(ModelNotFound, match=r"BACKEND_MODEL to one: a, b"):
        choose_model(TWO, "x", None)


def test_an_unknown_name_means_the_model_that_is_loaded() -> None:
    several = [
        ModelInfo("a"),
        ModelInfo("b", loaded=True),
        ModelInfo("c", loaded=True, only_endpoint="/messages"),
    ]
    assert choose_model(several, "x", None) == "b"
    with pytest.raises(ModelNotFound, match=r"a, b$"):
        choose_model([ModelInfo("a", loaded=True), ModelInfo("b", loaded=True)], "x", None)


def test_a_model_that_speaks_otherwise_is_not_asked() -> None:
    mixed = [ModelInfo("a"), ModelInfo("b", only_endpoint="/messages")]
    assert choose_model(mixed, "x", None) == "a"
    with pytest.raises(BackendRefused, match=r"'b' is only available at /messages, .*: a$"):
        choose_model(mixed, "b", None)


@pytest.mark.parametrize(
    ("architecture", "inputs"),
    [
        ({"input_modalities": ["text", "image", 5]}, ("text", "image")),
        ({"input_modalities": "text"}, None),
        ({}, None),
        ("qwen3", None),
        (None, None),
    ],
)
def test_what_a_model_takes(architecture: Any, inputs: Any) -> None:
    assert parse_models([{"id": "m", "architecture": architecture}])[0].inputs == inputs
