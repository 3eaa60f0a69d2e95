"""Cache on disk that keeps conversations across restarts, if `slot-save-path` is set.

Slots are saved before an orderly stop and restored when the next process is ready. The first long
answer after that shows whether it helped. If it did, the files stay, because the next process may
crash before it can save again; otherwise they are deleted, as are files that the process rejects.
After MAX_FAILURES failures in a row, saving is disabled. The files are limited in size, the oldest
are deleted first, and only their owner can read them.
"""

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import httpx

from proxy.llama_server.launch import LaunchSpec, ProcessAddress

Notify: TypeAlias = Callable[[int, str], None]  # log level and message
SIZE_LIMIT = 8 * 2**30  # bytes
MIN_TOKENS = 512  # tokens; fewer are processed just as fast
MAX_FAILURES = 2  # in a row
_SUFFIX = ".slot"
_PARTIAL_SUFFIX = ".half"  # of a file that is still being written


class SlotCache:
    def __init__(
        self,
        launch: LaunchSpec,
        timeout: float,
        notify: Notify,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._folder = _folder(launch)
        self._fingerprint = _fingerprint(launch)
        self._timeout, self._notify, self._transport = timeout, notify, transport
        self._restored: list[Path] = []  # restored files that have not yet proven useful
        self._failures = 0  # in a row

    @property
    def enabled(self) -> bool:
        return self._folder is not None

    def prepare(self) -> None:
        """Create the folder, which llama-server requires, and delete incomplete and excess files.

        Call this only if `enabled`.
        """
        assert self._folder is not None
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(f"slot-save-path: {error}") from None
        for partial in self._folder.glob(f"{self._fingerprint}-*{_PARTIAL_SUFFIX}"):
            _delete(partial)
        self._enforce_limit()

    async def save(self, address: ProcessAddress) -> None:
        """Save the slots; a failure is logged and does not prevent the stop."""
        saved, tried, failure = 0, False, ""
        if self._folder is not None and self._failures < MAX_FAILURES:
            try:
                async with asyncio.timeout(self._timeout), self._client(address) as client:
                    for slot in await _worth_saving(client):
                        tried = True
                        saved += await self._save(client, slot, self._folder)
            except (httpx.HTTPError, TimeoutError, ValueError, OSError) as error:
                failure = f" ({type(error).__name__})"
        if saved:
            self._notify(logging.INFO, f"saved {saved:,} tokens of conversations{failure}")
        elif tried or failure:  # no disk space, or the engine cannot save slots
            self._record_failure(f"conversations could not be saved{failure}")

    async def restore(self, address: ProcessAddress) -> None:
        self._restored = []
        restored, refused = 0, 0
        for file in self._files(f"{self._fingerprint}-*{_SUFFIX}"):
            number, tokens = file.stem.rpartition("-")[2], 0
            with suppress(httpx.HTTPError, TimeoutError, ValueError):
                async with asyncio.timeout(self._timeout), self._client(address) as client:
                    tokens = await _slot_action(client, number, "restore", file.name, "n_restored")
            if tokens:
                self._restored.append(file)
            else:
                refused += 1
                await asyncio.to_thread(_delete, file)
            restored += tokens
        if restored:
            self._notify(logging.INFO, f"restored {restored:,} tokens of conversations")
        elif refused:
            self._record_failure("saved conversations were rejected")

    def record_hit_rate(self, prompt: int, cached: int) -> None:
        """Judge by the first long answer after a restore whether the restored slots helped.

        `prompt` is its number of prompt tokens, and `cached` how many of them were cached.
        """
        if not self._restored or prompt < MIN_TOKENS:
            return
        tried, self._restored = self._restored, []
        known = f"{cached:,} of {prompt:,} tokens were cached"
        if cached >= min(MIN_TOKENS, prompt // 2):
            self._failures = 0
            self._notify(logging.INFO, f"restored conversations helped: {known}")
            return
        for file in tried:
            _delete(file)
        self._record_failure(f"restored conversations did not help and are deleted: {known}")

    def _record_failure(self, why: str) -> None:
        self._failures += 1
        self._notify(logging.INFO, why)
        if self._failures == MAX_FAILURES:
            self._notify(
                logging.WARNING,
                f"slot saving disabled: {MAX_FAILURES} consecutive attempts did not help",
            )

    async def _save(self, client: httpx.AsyncClient, slot: int, folder: Path) -> int:
        """Save one slot; an interrupted save does not replace a complete file."""
        file = folder / f"{self._fingerprint}-{slot}{_SUFFIX}"
        partial = file.with_suffix(_PARTIAL_SUFFIX)
        if saved := await _slot_action(client, str(slot), "save", partial.name, "n_saved"):
            partial.replace(file)
        await asyncio.to_thread(self._after_saving, partial)
        return saved

    def _after_saving(self, partial: Path) -> None:
        """Delete an incomplete file, and old files beyond the limit.

        This runs in a thread, because deleting gigabytes takes time.
        """
        _delete(partial)
        self._enforce_limit()

    def _client(self, address: ProcessAddress) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {address.key}"}
        return httpx.AsyncClient(
            base_url=address.url,
            headers=headers,
            trust_env=False,
            verify=False,
            timeout=self._timeout,
            transport=self._transport,
        )

    def _files(self, pattern: str) -> dict[Path, os.stat_result]:
        """Return the matching files, newest first."""
        found: dict[Path, os.stat_result] = {}
        for file in self._folder.glob(pattern) if self._folder is not None else ():
            with suppress(FileNotFoundError):  # other programs may use the folder too
                found[file] = file.stat()
        return dict(sorted(found.items(), key=lambda entry: entry[1].st_mtime, reverse=True))

    def _enforce_limit(self) -> None:
        size = 0
        for file, about in self._files(f"*{_SUFFIX}").items():
            size += about.st_size
            if size > SIZE_LIMIT:
                _delete(file)


async def _worth_saving(client: httpx.AsyncClient) -> list[int]:
    listed: Any = (await client.get("/slots")).json()
    slots = [slot for slot in listed if isinstance(slot, dict)] if isinstance(listed, list) else []
    return [
        slot["id"]
        for slot in slots
        if isinstance(slot.get("id"), int) and (slot.get("n_prompt_tokens") or 0) >= MIN_TOKENS
    ]


async def _slot_action(
    client: httpx.AsyncClient, slot: str, action: str, file: str, figure: str
) -> int:
    answer = await client.post(f"/slots/{slot}", params={"action": action}, json={"filename": file})
    result: Any = answer.json() if answer.is_success else {}
    tokens = result.get(figure) if isinstance(result, dict) else None
    return tokens if isinstance(tokens, int) else 0


def _delete(file: Path) -> None:
    with suppress(OSError):
        file.unlink()


def _folder(launch: LaunchSpec) -> Path | None:
    flags = list(launch.flags)
    return Path(flags[flags.index("--slot-save-path") + 1]) if "--slot-save-path" in flags else None


def _fingerprint(launch: LaunchSpec) -> str:
    """Return a fingerprint of the model file and its options.

    Saved slots of another model, or of other options, must not be restored.
    """
    stamp = 0
    with suppress(OSError):  # the model may not exist yet
        stamp = launch.model.stat().st_mtime_ns if isinstance(launch.model, Path) else 0
    return hashlib.sha256(repr((launch, stamp)).encode()).hexdigest()[:24]
