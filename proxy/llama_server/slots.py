"""What a child remembers of its conversations (its slots), kept on disk while it is away: only where `slot-save-path` is set.

Saved before an orderly end, given back at the next READY, and then deleted: a file that has been used, or that the child does
not take, is of no further use. Never more than so many bytes, oldest first; readable by us alone.
"""

import asyncio
import hashlib
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from proxy.llama_server.launch import Launch
from proxy.llama_server.readiness import Address

logger = logging.getLogger("llama_bridge.child")
LIMIT = 8 * 2**30  # bytes
WORTH = 512  # tokens; fewer are read again as fast
_SUFFIX = ".slot"


class Slots:
    def __init__(self, launch: Launch, patience: float, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._folder = _folder(launch)
        self._mark = _mark(launch)
        self._patience, self._transport = patience, transport

    def prepare(self) -> None:
        """llama-server does not start where the folder is missing."""
        if self._folder is not None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_room()

    async def save(self, address: Address) -> int:
        """How many tokens were saved. Whatever goes wrong: the child leaves all the same."""
        saved = 0
        if self._folder is not None:
            with suppress(httpx.HTTPError, TimeoutError, ValueError, OSError):
                async with asyncio.timeout(self._patience), self._client(address) as client:
                    for slot in await _worth_saving(client):
                        saved += await self._save(client, slot, self._folder)
        return saved

    async def restore(self, address: Address) -> int:
        restored = 0
        for file in self._files(f"{self._mark}-*{_SUFFIX}"):
            number = file.stem.rpartition("-")[2]
            with suppress(httpx.HTTPError, TimeoutError, ValueError):
                async with asyncio.timeout(self._patience), self._client(address) as client:
                    restored += await _told(client, number, "restore", file.name, "n_restored")
            file.unlink(missing_ok=True)
        return restored

    async def _save(self, client: httpx.AsyncClient, slot: int, folder: Path) -> int:
        file = folder / f"{self._mark}-{slot}{_SUFFIX}"
        saved = await _told(client, str(slot), "save", file.name, "n_saved")
        if file.exists():
            file.chmod(0o600)
        self._make_room()
        return saved

    def _client(self, address: Address) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {address.key}"}
        return httpx.AsyncClient(
            base_url=address.url, headers=headers, trust_env=False, verify=False, timeout=self._patience, transport=self._transport
        )

    def _files(self, pattern: str) -> list[Path]:
        """The newest first."""
        if self._folder is None:
            return []
        return sorted(self._folder.glob(pattern), key=lambda file: file.stat().st_mtime, reverse=True)

    def _make_room(self) -> None:
        size = 0
        for file in self._files(f"*{_SUFFIX}"):
            size += file.stat().st_size
            if size > LIMIT:
                file.unlink(missing_ok=True)


async def _worth_saving(client: httpx.AsyncClient) -> list[int]:
    listed: Any = (await client.get("/slots")).json()
    slots = [slot for slot in listed if isinstance(slot, dict)] if isinstance(listed, list) else []
    return [slot["id"] for slot in slots if isinstance(slot.get("id"), int) and (slot.get("n_prompt_tokens") or 0) >= WORTH]


async def _told(client: httpx.AsyncClient, slot: str, action: str, file: str, figure: str) -> int:
    answer = await client.post(f"/slots/{slot}", params={"action": action}, json={"filename": file})
    told: Any = answer.json() if answer.is_success else {}
    tokens = told.get(figure) if isinstance(told, dict) else None
    return tokens if isinstance(tokens, int) else 0


def _folder(launch: Launch) -> Path | None:
    flags = list(launch.flags)
    return Path(flags[flags.index("--slot-save-path") + 1]) if "--slot-save-path" in flags else None


def _mark(launch: Launch) -> str:
    """Another model, or other flags, cannot use it."""
    stamp = launch.model.stat().st_mtime_ns if isinstance(launch.model, Path) and launch.model.exists() else 0
    return hashlib.sha256(repr((launch.model, stamp, launch.engine, launch.flags)).encode()).hexdigest()[:24]
