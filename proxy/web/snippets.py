"""What a person pastes to connect a client: a command line, and a configuration of OpenCode."""

import json
import shlex

YOUR_KEY = "YOUR-KEY"  # one of those that were given
YOUR_MODEL = "your-model"  # where nobody knows yet what there will be
_TOOL = {
    "type": "function",
    "function": {
        "name": "bash",
        "description": "Runs a command",
        "parameters": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
    },
}
_OUTPUT_TOKENS = 8192
_UNKNOWN_CONTEXT = 32768
_COMMENTED = '  // "permission": {"bash": "ask"},  // without //, OpenCode asks you before it runs a command\n'


def curl(address: str, key: str | None, model: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": "List the files, please."}], "tools": [_TOOL]}
    authorization = ["-H", f"authorization: Bearer {key}"] if key else []
    words = ["curl", f"{address}/v1/chat/completions", *authorization, "-H", "content-type: application/json", "-d", json.dumps(body)]
    return shlex.join(words)


def opencode(address: str, key: str | None, model: str, context: int | None) -> str:
    """Return an opencode.json: OpenCode reads it with comments."""
    context = context or _UNKNOWN_CONTEXT
    limit = {"context": context, "output": min(_OUTPUT_TOKENS, context // 4)}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "llama-bridge",
        "options": {"baseURL": f"{address}/v1", "apiKey": key or "not-needed"},
        "models": {model: {"name": model, "tool_call": True, "limit": limit}},
    }
    name = f"llama-bridge/{model}"
    config = {
        "$schema": "https://opencode.ai/config.json",
        "provider": {"llama-bridge": provider},
        "model": name,
        "small_model": name,
    }
    first, schema, rest = json.dumps(config, indent=2).split("\n", 2)
    return f"{first}\n{schema}\n{_COMMENTED}{rest}"
