"""Check that a starting llama-server is ready.

Ready means that the server is healthy, that it is the process that the supervisor started, and that
it has generated one token.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_exponential

from proxy.llama_server.launch import LaunchSpec, ProcessAddress


@dataclass(frozen=True)
class ServerProps:
    context: int | None
    slots: int | None


class NotReadyYet(Exception):
    """Error while the server is still starting; poll again."""


class StartFailed(Exception):
    """Error for a start that has failed; polling again is useless."""


async def wait_ready(
    address: ProcessAddress, launch: LaunchSpec, *, load: float, token: float
) -> ServerProps:
    polling = AsyncRetrying(
        retry=retry_if_exception_type(NotReadyYet),
        wait=wait_exponential(multiplier=0.02, exp_base=1.3, max=0.5),
        stop=stop_after_delay(load),
        reraise=True,
    )
    headers = {"authorization": f"Bearer {address.key}"}
    # No TLS on loopback: reading the certificates would take longer than the start.
    async with httpx.AsyncClient(
        base_url=address.url, headers=headers, trust_env=False, verify=False, timeout=5
    ) as client:
        try:
            props: ServerProps = await polling(_poll, client, launch, token)
        except NotReadyYet as last:
            raise StartFailed(f"not ready within {load:g} s: {last}") from None
        return props


async def _poll(client: httpx.AsyncClient, launch: LaunchSpec, token: float) -> ServerProps:
    try:
        health = await client.get("/health")
        if health.status_code != 200:
            raise NotReadyYet(f"/health returned {health.status_code}")
        props = _check_identity(await client.get("/props"), launch)
        await _first_token(client, token)
        return props
    except httpx.HTTPError as error:
        raise NotReadyYet(f"{type(error).__name__} {error}") from error


def _check_identity(answer: httpx.Response, launch: LaunchSpec) -> ServerProps:
    if answer.status_code == 401:
        raise StartFailed("another server responds on its port: it rejects our key")
    try:
        props = answer.json()
    except ValueError:
        props = None
    if answer.status_code != 200 or not isinstance(props, dict):
        raise StartFailed(
            f"another server responds on its port: status {answer.status_code} for /props"
        )
    path, alias = props.get("model_path"), props.get("model_alias")
    if (
        isinstance(launch.model, Path)
        and path is not None
        and Path(path).absolute() != launch.model.absolute()
    ):
        raise StartFailed(f"another server responds on its port: it serves {path}")
    if alias is not None and alias != launch.alias:
        raise StartFailed(f"another server responds on its port: its name is {alias}")
    defaults: Mapping[str, Any] = props.get("default_generation_settings", {})
    return ServerProps(context=defaults.get("n_ctx"), slots=props.get("total_slots"))


async def _first_token(client: httpx.AsyncClient, timeout: float) -> None:
    """Generate one token: a server can be healthy although its GPU is not."""
    try:
        answer = await client.post(
            "/completion", json={"prompt": "a", "n_predict": 1}, timeout=timeout
        )
        if answer.status_code == 501:  # an embedding model
            answer = await client.post("/v1/embeddings", json={"input": "a"}, timeout=timeout)
    except httpx.ReadTimeout:
        raise StartFailed(
            f"the server is up, but generated no token within {timeout:g} s"
        ) from None
    if answer.status_code == 503:
        raise NotReadyYet("loading")
    if answer.status_code != 200:
        raise StartFailed(
            f"the server is up, but generating a token failed with {answer.status_code}: "
            f"{answer.text[:500]}"
        )
