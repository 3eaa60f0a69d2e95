"""What a person reads when the proxy has started: where it listens, what it speaks for, and two things to paste."""

import json
import shlex
import socket

from proxy.settings import Settings
from proxy.web.status import Report

_TOOL = {
    "type": "function",
    "function": {
        "name": "bash",
        "description": "Runs a command",
        "parameters": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
    },
}
YOUR_KEY = "YOUR-KEY"  # one of those that were given
_OUTPUT_TOKENS = 8192
_UNKNOWN_CONTEXT = 32768


def address_for_clients(settings: Settings, port: int) -> str:
    """Under which other machines reach us, where they may."""
    host = settings.proxy_host
    if host == "0.0.0.0":
        host = _own_address(socket.AF_INET, "192.0.2.1", "127.0.0.1")
    elif host == "::":
        host = _own_address(socket.AF_INET6, "2001:db8::1", "::1")
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _own_address(family: socket.AddressFamily, far_away: str, alone: str) -> str:
    """The address this machine would send from. Nothing is sent to find that out."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((far_away, 9))
        except OSError:
            return alone
        return str(probe.getsockname()[0])


def text(address: str, key: str | None, report: Report) -> str:
    model = report.model or "your-model"
    lines = [f"llama-bridge listens on {address}/v1", *_facts(report)]
    lines += ["", "Try it, from another terminal:", "", _curl(address, key, model)]
    lines += ["", "OpenCode: put this into opencode.json in your project (or ~/.config/opencode/opencode.json):", ""]
    lines += [opencode(address, key, model, report.context), "", "Ctrl-C ends it."]
    return "\n".join(lines)


def _facts(report: Report) -> list[str]:
    if not report.ok:
        return [f"  not ready yet: {report.reason}", "  it serves as soon as the backend answers; GET /health tells"]
    where = f" on {report.device}" if report.device else ""
    context = f", context {report.context:,} tokens" if report.context else ""
    return [f"  backend  {report.backend} at {report.url}", f"  model    {report.model or 'the client chooses'}{where}{context}"]


def _curl(address: str, key: str | None, model: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": "List the files, please."}], "tools": [_TOOL]}
    authorization = ["-H", f"authorization: Bearer {key}"] if key else []
    words = ["curl", f"{address}/v1/chat/completions", *authorization, "-H", "content-type: application/json", "-d", json.dumps(body)]
    return "  " + shlex.join(words)


def opencode(address: str, key: str | None, model: str, context: int | None) -> str:
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
    return json.dumps(config, indent=2)
