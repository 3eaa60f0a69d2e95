"""Snippets that connect a client: a curl command and an opencode.json."""

import json
import shlex
from collections.abc import Sequence
from typing import Any

YOUR_KEY = "YOUR-KEY"  # placeholder for a configured key
YOUR_MODEL = "your-model"  # placeholder while the model is unknown
_TOOL = {
    "type": "function",
    "function": {
        "name": "bash",
        "description": "Runs a command",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string"}},
            "required": ["command"],
        },
    },
}
# OpenCode 2 uses `ollama`, `lmstudio` and `vllm` for its own providers.
_PROVIDER = "llama-bridge"
_OUTPUT_TOKENS = 8192
_MAX_KEPT = 8000
_UNKNOWN_CONTEXT = 32768
_COMMENTED = (
    '  // "permission": {"bash": "ask"},  // without //, OpenCode asks you before it runs a '
    "command\n"
)


def curl(address: str, key: str | None, model: str) -> str:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "List the files, please."}],
        "tools": [_TOOL],
    }
    authorization = ["-H", f"authorization: Bearer {key}"] if key else []
    words = [
        "curl",
        f"{address}/v1/chat/completions",
        *authorization,
        "-H",
        "content-type: application/json",
        "-d",
        json.dumps(body),
    ]
    return shlex.join(words)


def opencode(
    address: str, key: str | None, model: str, context: int | None, inputs: Sequence[str] = ()
) -> str:
    """Return an opencode.json, with comments, for OpenCode 1.18.24 and later, and for 2.

    `provider` is the shape of 1.x and `providers` that of 2; neither may contain a key of the
    other. Without `limit`, OpenCode 2 assumes a context of 200,000 tokens. `inputs` are further
    modalities of the model, such as `image`.
    """
    context = context or _UNKNOWN_CONTEXT
    output = min(_OUTPUT_TOKENS, context // 4)
    limit = {"context": context, "output": output}
    modalities = {"input": list(dict.fromkeys(("text", *inputs))), "output": ["text"]}
    options = {"baseURL": f"{address}/v1", "apiKey": key or "not-needed"}
    name = f"{_PROVIDER}/{model}"
    first = {
        "npm": "@ai-sdk/openai-compatible",
        "name": _PROVIDER,
        "options": options,
        "models": {
            model: {"name": model, "tool_call": True, "modalities": modalities, "limit": limit}
        },
    }
    second = {
        "name": _PROVIDER,
        "package": "@opencode/ai/providers/openai-compatible",
        "settings": options,
        "models": {
            model: {"name": model, "capabilities": {"tools": True} | modalities, "limit": limit}
        },
    }
    config = {
        "$schema": "https://opencode.ai/config.json",
        "provider": {_PROVIDER: first},
        "providers": {_PROVIDER: second},
        "model": name,
        "small_model": name,
        "compaction": _compaction(context - output, output),
    }
    brace, schema, rest = json.dumps(config, indent=2).split("\n", 2)
    return f"{brace}\n{schema}\n{_COMMENTED}{rest}"


def _compaction(usable: int, output: int) -> dict[str, Any]:
    """Return compaction settings that use the context until only the answer's room is left.

    The defaults of OpenCode 2 leave 20,000 tokens free and keep 15,000. In a context of 32,768 that
    compacts too early, and then again immediately: what is kept must leave room for the system
    prompt, the tools (about 8,000 tokens) and the summary.
    """
    return {"reserved": output, "buffer": output, "keep": {"tokens": min(_MAX_KEPT, usable // 6)}}
