"""A models list in every shape, and the model that a client means."""

from typing import Any

import pytest

from proxy.backends.models import Model, choose, knows, models_in
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
        ({"object": "list", "data": [FULL]}, [Model("m", 5, "llamacpp", 512, ("n",))]),
        ([FULL], [Model("m", 5, "llamacpp", 512, ("n",))]),
        ({"models": [{"name": "tiny"}]}, [Model("tiny")]),
        ({"data": [{"id": "v", "max_model_len": 4096}]}, [Model("v", context=4096)]),
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
            [Model("v")],
        ),
        ({"data": ["a", {"model": "b"}, 5, {"x": 1}]}, [Model("a"), Model("b")]),
        (
            {
                "data": [
                    {"id": "r", "status": {"value": "loaded"}},
                    {"id": "s", "status": {"value": "unloaded"}},
                ]
            },
            [Model("r", loaded=True), Model("s")],
        ),
        ({"object": "list", "data": None}, []),
        (None, []),
        ("text", []),
    ],
)
def test_every_shape(listed: Any, right: list[Model]) -> None:
    assert models_in(listed) == right


ONE, TWO = [Model("a", aliases=("alias",))], [Model("a"), Model("b")]


def test_a_known_name_stays() -> None:
    assert choose(TWO, "b", "a") == "b"
    assert choose(ONE, "alias", None) == "alias"
    assert knows(ONE, "alias")
    assert not knows(ONE, None)


def test_an_unknown_name_means_the_chosen_or_the_only_model() -> None:
    assert choose(TWO, "x", "b") == "b"
    assert choose(ONE, "x", None) == "a"
    assert choose(ONE, None, None) == "a"
    assert choose([], "x", None) == "x"
    assert choose([], "x", "b") == "b"


def test_several_and_none_chosen() -> None:
    with pytest.raises(ModelNotFound, match=r"BACKEND_MODEL: a, b"):
        choose(TWO, "x", None)


def test_an_unknown_name_means_the_model_that_is_loaded() -> None:
    several = [Model("a"), Model("b", loaded=True), Model("c", loaded=True, wire="/messages")]
    assert choose(several, "x", None) == "b"
    with pytest.raises(ModelNotFound, match=r"a, b$"):
        choose([Model("a", loaded=True), Model("b", loaded=True)], "x", None)


def test_a_model_that_speaks_otherwise_is_not_asked() -> None:
    mixed = [Model("a"), Model("b", wire="/messages")]
    assert choose(mixed, "x", None) == "a"
    with pytest.raises(BackendRefused, match=r"'b' answers only under /messages, .*: a$"):
        choose(mixed, "b", None)


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
    assert models_in([{"id": "m", "architecture": architecture}])[0].inputs == inputs
