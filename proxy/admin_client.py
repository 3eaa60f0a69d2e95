"""Client for a running llama-bridge on this machine, used by `doctor`, `reload` and `logs`."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx

from proxy.settings import Settings
from proxy.web import key_file

_TIMEOUT = httpx.Timeout(
    30, read=None
)  # no read timeout, because a followed log may be silent for hours


class NotRunning(ValueError):
    """No llama-bridge responded at the configured address, or it responded with an error."""


def health(settings: Settings, transport: httpx.BaseTransport | None = None) -> dict[str, Any]:
    """Return the JSON body of `GET /health`, even if the response status is an error."""
    with _client(settings, transport) as client:
        answer = _request(client, "GET", "/health")
    with suppress(ValueError):
        report = answer.json()
        if isinstance(report, dict) and "status" in report and "waiting" in report:
            return report
        if isinstance(report, dict) and report.keys() == {"status"}:
            raise NotRunning(
                f"the llama-bridge at {client.base_url} requires an API key; set PROXY_API_KEYS"
            )
    raise NotRunning(
        f"another server responds at {client.base_url}; set PROXY_PORT to the port of llama-bridge"
    )


def reload(settings: Settings, transport: httpx.BaseTransport | None = None) -> str:
    with _client(settings, transport) as client:
        changed = _check_status(_request(client, "POST", "/reload")).json()["changed"]
    return f"reloaded; changed: {', '.join(changed)}" if changed else "reloaded; nothing changed"


def logs(
    settings: Settings,
    model: str,
    write: Callable[[str], object],
    *,
    follow: bool,
    transport: httpx.BaseTransport | None = None,
) -> None:
    query = {"model": model} if model else {}
    with _client(settings, transport) as client:
        if not follow:
            write(_check_status(_request(client, "GET", "/logs", query)).text.rstrip("\n"))
            return
        try:
            with client.stream("GET", "/logs", params=query | {"follow": "1"}) as answer:
                if not answer.is_success:
                    answer.read()
                for line in _check_status(answer).iter_lines():
                    if line.startswith("data: "):
                        write(line[6:])
        except httpx.TransportError as error:
            raise _not_reachable(client, error) from None


def _client(settings: Settings, transport: httpx.BaseTransport | None) -> httpx.Client:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.proxy_host, settings.proxy_host)
    url = f"http://{f'[{host}]' if ':' in host else host}:{settings.proxy_port}"
    keys = settings.api_keys
    key = (
        keys[0]
        if keys
        else key_file.default_path().read_text().strip()
        if keys is None and key_file.default_path().exists()
        else None
    )
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(
        base_url=url, headers=headers, timeout=_TIMEOUT, trust_env=False, transport=transport
    )


def _request(
    client: httpx.Client, method: str, path: str, query: dict[str, str] | None = None
) -> httpx.Response:
    try:
        return client.request(method, path, params=query)
    except httpx.TransportError as error:
        raise _not_reachable(client, error) from None


def _not_reachable(client: httpx.Client, error: Exception) -> NotRunning:
    reason = str(error).rpartition("] ")[2]  # without the errno
    return NotRunning(
        f"no llama-bridge at {client.base_url}: {reason}; is it running, and is PROXY_PORT right?"
    )


def _check_status(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    try:
        message = answer.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = f"unexpected status {answer.status_code}"
    raise NotRunning(str(message))
