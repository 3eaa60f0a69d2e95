"""Configuration snippets for clients: a curl command and an opencode.json."""

import json
import shlex
from collections.abc import Sequence
from typing import Any

YOUR_KEY = "YOUR-KEY"  # placeholder for the API key
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
# The names `ollama`, `lmstudio` and `vllm` are taken by OpenCode 2's own providers.
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
    """Return the text of an opencode.json for OpenCode 2, and for 1.18.24 and later versions of 1.

    OpenCode 1 reads `provider` and OpenCode 2 reads `providers`; neither accepts the keys of the
    other inside. Without `limit`, OpenCode 2 assumes a context of 200,000 tokens. `inputs` are the
    input modalities of the model besides text, such as `image`.
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
    """Return OpenCode's compaction settings for a context of `usable + output` tokens.

    OpenCode 2 reserves 20,000 tokens and keeps 15,000 by default. With a context of 32,768 tokens,
    it would compact too early and then again immediately, because the kept messages, the system
    prompt, the tools (about 8,000 tokens) and the summary exceed the limit.
    """
    return {"reserved": output, "buffer": output, "keep": {"tokens": min(_MAX_KEPT, usable // 6)}}
