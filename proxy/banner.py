"""The banner that `serve` prints once it is ready: addresses, backend, model, and two snippets to
paste.
"""

import socket

from proxy.settings import Settings
from proxy.tiny_model import MODEL as TINY_MODEL
from proxy.web.health import HealthReport
from proxy.web.snippets import YOUR_MODEL, curl, opencode


def address_for_clients(settings: Settings, port: int) -> str:
    """Return the base URL for clients, with a LAN address if other machines may connect."""
    host = settings.proxy_host
    if host == "0.0.0.0":
        host = _own_address(socket.AF_INET, "192.0.2.1", "127.0.0.1")
    elif host == "::":
        host = _own_address(socket.AF_INET6, "2001:db8::1", "::1")
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _own_address(family: socket.AddressFamily, far_away: str, alone: str) -> str:
    """Return the address this machine sends from, or `alone` without a network. Sends nothing."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((far_away, 9))
        except OSError:
            return alone
        return str(probe.getsockname()[0])


def text(address: str, key: str | None, report: HealthReport) -> str:
    """Return the banner for the state that `report` describes."""
    if report.failed:  # snippets would only distract from the reason
        return "\n".join(
            [
                f"llama-bridge listens on {address}/v1",
                f"  cannot serve: {report.reason}",
                "",
                "Press Ctrl-C to stop.",
            ]
        )
    model = report.expected_model or YOUR_MODEL
    lines = [f"llama-bridge listens on {address}/v1", *_backend_lines(report)]
    if report.model == TINY_MODEL.stem:
        lines.append(
            "           a tiny demo model; set LLAMA_MODEL=/path/to/model.gguf to use a real one"
        )
    lines.append(f"  status   {address}/ in a browser{_login_hint(key)}")
    lines += ["", "Try it from another terminal:", "", "  " + curl(address, key, model)]
    lines += [
        "",
        (
            "To use OpenCode, save this as opencode.json in your project "
            "(or ~/.config/opencode/opencode.json):"
        ),
        "",
    ]
    lines += [
        opencode(address, key, model, report.expected_context, report.inputs or ()),
        "",
        "Press Ctrl-C to stop.",
    ]
    if report.gpu_fix:
        lines += [
            "",
            "A GPU is present but unused. To install an engine that uses it:",
            f"  {report.gpu_fix}",
        ]
    return "\n".join(lines)


def _login_hint(key: str | None) -> str:
    return " (any user name, the key as password)" if key else ""


def _backend_lines(report: HealthReport) -> list[str]:
    if not report.ok:
        below = (
            []
            if report.expected_model
            else [f"  replace {YOUR_MODEL} below with a name from GET /v1/models"]
        )
        return [
            f"  not ready yet: {report.reason}",
            "  requests work as soon as the backend responds; see GET /health",
            *below,
        ]
    where = f" on {report.device}" if report.device else ""
    context = f", context {report.context:,} tokens" if report.context else ""
    model = report.model or "chosen by the client; see GET /v1/models"
    lines = [f"  backend  {report.backend} at {report.url}", f"  model    {model}{where}{context}"]
    return [*lines, f"  warning  {report.reason}"] if report.reason else lines
