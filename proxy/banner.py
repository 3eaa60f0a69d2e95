"""What a person reads when the proxy has started: where it listens, what it speaks for, and two
things to paste.
"""

import socket

from proxy.settings import Settings
from proxy.tiny_model import MODEL as TINY_MODEL
from proxy.web.health import HealthReport
from proxy.web.snippets import YOUR_MODEL, curl, opencode


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


def text(address: str, key: str | None, report: HealthReport) -> str:
    if report.failed:  # nothing to try, and nothing to paste: the reason is what a person must read
        return "\n".join(
            [
                f"llama-bridge listens on {address}/v1",
                f"  cannot serve: {report.reason}",
                "",
                "Ctrl-C ends it.",
            ]
        )
    model = report.expected_model or YOUR_MODEL
    lines = [f"llama-bridge listens on {address}/v1", *_backend_lines(report)]
    if report.model == TINY_MODEL.stem:
        lines.append(
            "           it is tiny and only shows the road; LLAMA_MODEL=/path/of/a.gguf gives "
            "you a real one"
        )
    lines.append(f"  look on  {address}/ in a browser{_login_hint(key)}")
    lines += ["", "Try it, from another terminal:", "", "  " + curl(address, key, model)]
    lines += [
        "",
        (
            "OpenCode: put this into opencode.json in your project (or "
            "~/.config/opencode/opencode.json):"
        ),
        "",
    ]
    lines += [
        opencode(address, key, model, report.expected_context, report.inputs or ()),
        "",
        "Ctrl-C ends it.",
    ]
    if report.gpu_fix:
        lines += [
            "",
            "The GPU of this machine is not used. This command installs an engine that uses it:",
            f"  {report.gpu_fix}",
        ]
    return "\n".join(lines)


def _login_hint(key: str | None) -> str:
    return " (any name, the key as password)" if key else ""


def _backend_lines(report: HealthReport) -> list[str]:
    if not report.ok:
        below = (
            []
            if report.expected_model
            else [f"  {YOUR_MODEL}, below, stands for the name that GET /v1/models lists then"]
        )
        return [
            f"  not ready yet: {report.reason}",
            "  it serves as soon as the backend answers; GET /health tells",
            *below,
        ]
    where = f" on {report.device}" if report.device else ""
    context = f", context {report.context:,} tokens" if report.context else ""
    model = report.model or "the client chooses; GET /v1/models lists them"
    lines = [f"  backend  {report.backend} at {report.url}", f"  model    {model}{where}{context}"]
    return [*lines, f"  but      {report.reason}"] if report.reason else lines
