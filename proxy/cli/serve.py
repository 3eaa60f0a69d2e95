"""The HTTP server: its socket, its open files, what it says when it serves and how it ends."""

import asyncio
import contextlib
import errno
import gc
import logging
import resource
import signal
import socket
from collections.abc import Coroutine

import uvicorn

from proxy import banner, logging_setup
from proxy.app import Bridge, create_app
from proxy.cli.output import describe_error, fail
from proxy.errors import BridgeError
from proxy.printable import printable_lines
from proxy.settings import Settings
from proxy.web.api_keys import ApiKeys
from proxy.web.http_protocol import uvicorn_config
from proxy.web.snippets import YOUR_KEY

FILES = 10_240  # more, macOS does not allow
logger = logging.getLogger("llama-bridge")


class Server(uvicorn.Server):
    """Says what it speaks for once it serves, and on Ctrl-C ends its answers at once instead of
    waiting for them.
    """

    def __init__(self, bridge: Bridge, listener: socket.socket) -> None:
        super().__init__(uvicorn_config(bridge))
        self._bridge = bridge
        self._listener = listener
        self._tasks: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGHUP, lambda: self._spawn(self._reload())
        )
        self._spawn(self._print_banner())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in self._tasks:
            task.cancel()
        self._bridge.close()
        await super().shutdown(sockets)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload(self) -> None:
        try:
            changed = await self._bridge.reload_config()
        except BridgeError as error:
            logger.error("%s", error.message)
        else:
            logger.info(
                "llama-server.conf was read anew; changed: %s", ", ".join(changed) or "nothing"
            )

    async def _print_banner(self) -> None:
        bridge = self._bridge
        if bridge.pool is not None:
            await logging_setup.show_loading(
                bridge.pool.wait_loaded(), self._show, bridge.app_state.provider.unavailable_reason
            )
        report = await bridge.health.report()
        settings = bridge.app_state.settings
        where = banner.address_for_clients(settings, self._listener.getsockname()[1])
        bridge.app_state.inflight.show_line(
            ""
        )  # the banner is not written into the line that shows who waits
        text = banner.text(where, _banner_key(bridge.app_state.api_keys), report)
        print(printable_lines(text), flush=True)

    def _show(self, line: str) -> None:
        """Show a line in the terminal, unless a waiting request is shown there."""
        ledger = self._bridge.app_state.inflight
        if not len(ledger):
            ledger.show_line(line)


def _banner_key(keys: ApiKeys) -> str | None:
    """The banner may end in a log: a key that was given is not written there."""
    return keys.generated or (YOUR_KEY if keys.keys else None)


def allow_many_connections() -> None:
    """macOS gives a program 256 open files; each request takes two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(
            resource.RLIMIT_NOFILE,
            (max(soft, FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)), hard),
        )


def listen(settings: Settings) -> socket.socket:
    host, port = settings.proxy_host, settings.proxy_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # Python repeats the address.
        reason = (error.strerror or str(error)).partition(" (while")[0]
        port_is_why = error.errno in (errno.EADDRINUSE, errno.EACCES)
        cure = (
            "Another program? PROXY_PORT chooses another port."
            if port_is_why
            else "PROXY_HOST must be an address of this machine."
        )
        raise OSError(f"cannot listen on {host}:{port}: {reason}. {cure}") from None


def serve(settings: Settings) -> int:
    show = logging_setup.configure(settings)
    allow_many_connections()
    try:
        bridge = create_app(settings)
        for note in bridge.pool.catalog.notes if bridge.pool is not None else ():
            logger.warning("%s", note)
        bridge.app_state.inflight.show_line = show
        listener = listen(settings)
    except (ValueError, OSError) as error:
        fail(describe_error(error))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # What was made so far stays: no collection looks at it again, which takes 20 ms each time.
    gc.freeze()
    # All has ended by then; uvicorn only tells the signal once more.
    with contextlib.suppress(KeyboardInterrupt):
        server = Server(bridge, listener)
        server.run(sockets=[listener])
    return 0
