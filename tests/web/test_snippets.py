"""The printed OpenCode configuration: each rule prevents a failure of some version of OpenCode."""

from typing import Any

import pytest

from proxy.web.snippets import opencode
from tests import jsonc

WINDOWS = pytest.mark.parametrize("context", [4096, 8192, 16384, 32768, 65536, 131072, 262144])


def config(context: int | None = 32768, *inputs: str, model: str = "m") -> dict[str, Any]:
    printed: dict[str, Any] = jsonc.parsed(
        opencode("http://127.0.0.1:8081", None, model, context, inputs)
    )
    return printed


def test_neither_shape_has_a_key_of_the_other() -> None:
    """On an unexpected key, OpenCode drops the whole provider without a useful message."""
    first, second = config()["provider"]["llama-bridge"], config()["providers"]["llama-bridge"]
    assert set(first) == {"npm", "name", "options", "models"}
    assert set(first["models"]["m"]) == {"name", "tool_call", "modalities", "limit"}
    assert set(second) == {"package", "name", "settings", "models"}
    assert set(second["models"]["m"]) == {"name", "capabilities", "limit"}


def test_what_each_version_needs_in_its_shape() -> None:
    first, second = config()["provider"]["llama-bridge"], config()["providers"]["llama-bridge"]
    assert first["npm"] == "@ai-sdk/openai-compatible"
    assert second["package"] == "@opencode/ai/providers/openai-compatible"
    assert (
        first["options"]
        == second["settings"]
        == {"baseURL": "http://127.0.0.1:8081/v1", "apiKey": "not-needed"}
    )
    assert second["models"]["m"]["capabilities"] == {
        "tools": True,
        "input": ["text"],
        "output": ["text"],
    }
    for shape in (first, second):
        assert shape["models"]["m"]["limit"] == {"context": 32768, "output": 8192}


def test_both_are_the_same_provider_and_none_of_opencode_s_own() -> None:
    printed = config(model="org/model:30b")
    assert list(printed["provider"]) == list(printed["providers"]) == ["llama-bridge"]
    assert printed["model"] == printed["small_model"] == "llama-bridge/org/model:30b"
    assert set(printed) == {
        "$schema",
        "provider",
        "providers",
        "model",
        "small_model",
        "compaction",
    }


@pytest.mark.parametrize(
    ("inputs", "listed"),
    [
        ((), ["text"]),
        (("text",), ["text"]),
        (("text", "image"), ["text", "image"]),
        (("image",), ["text", "image"]),
    ],
)
def test_what_the_model_takes(inputs: tuple[str, ...], listed: list[str]) -> None:
    printed = config(32768, *inputs)
    assert printed["provider"]["llama-bridge"]["models"]["m"]["modalities"] == {
        "input": listed,
        "output": ["text"],
    }
    assert printed["providers"]["llama-bridge"]["models"]["m"]["capabilities"]["input"] == listed


@WINDOWS
def test_a_conversation_is_shortened_when_only_the_room_for_an_answer_is_left(context: int) -> None:
    printed = config(context)
    output = printed["provider"]["llama-bridge"]["models"]["m"]["limit"]["output"]
    compaction = printed["compaction"]
    usable = context - output
    assert usable >= context * 3 // 4
    assert context - max(output, compaction["buffer"]) == context - compaction["reserved"] == usable
    assert set(compaction) == {"reserved", "buffer", "keep"}


@WINDOWS
def test_what_is_kept_leaves_room_before_the_next_time(context: int) -> None:
    """OpenCode's system prompt and tools are about 8,000 tokens, and a summary about 1,500."""
    printed = config(context)
    limit, kept = (
        printed["provider"]["llama-bridge"]["models"]["m"]["limit"],
        printed["compaction"]["keep"]["tokens"],
    )
    usable = context - limit["output"]
    assert kept <= usable // 6
    assert context < 16384 or usable - 8000 - 1500 - kept > 0
    assert context < 32768 or usable - 8000 - 1500 - kept > usable // 3


def test_an_unknown_context() -> None:
    assert config(None) == config(32768)
