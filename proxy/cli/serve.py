"""`llama-bridge serve`: run the HTTP server, print the banner, reload on SIGHUP."""

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

FILES = 10_240  # the most that macOS allows
logger = logging.getLogger("llama-bridge")


class Server(uvicorn.Server):
    """uvicorn server that prints the banner when it is ready and ends open answers on shutdown."""

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
            logger.info("llama-server.conf reloaded; changed: %s", ", ".join(changed) or "nothing")

    async def _print_banner(self) -> None:
        bridge = self._bridge
        if bridge.pool is not None:
            await logging_setup.show_loading(
                bridge.pool.wait_loaded(), self._show, bridge.app_state.provider.unavailable_reason
            )
        report = await bridge.health.report()
        settings = bridge.app_state.settings
        where = banner.address_for_clients(settings, self._listener.getsockname()[1])
        # Clear the progress line first, or the banner would be printed into it.
        bridge.app_state.inflight.show_line("")
        text = banner.text(where, _banner_key(bridge.app_state.api_keys), report)
        print(printable_lines(text), flush=True)

    def _show(self, line: str) -> None:
        """Show `line` in the terminal unless the progress of a request is shown there."""
        inflight = self._bridge.app_state.inflight
        if not len(inflight):
            inflight.show_line(line)


def _banner_key(keys: ApiKeys) -> str | None:
    """Return the key to print: a generated one, or a placeholder for a configured secret.

    Banners end up in log files, which must not contain configured keys.
    """
    return keys.generated or (YOUR_KEY if keys.keys else None)


def allow_many_connections() -> None:
    """Raise the limit of open files; macOS defaults to 256, and each request needs two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(
            resource.RLIMIT_NOFILE,
            (max(soft, FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)), hard),
        )


def listen(settings: Settings) -> socket.socket:
    """Return the listening socket; the error of a failed bind says what to change."""
    host, port = settings.proxy_host, settings.proxy_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # Python appends the address to the message.
        reason = (error.strerror or str(error)).partition(" (while")[0]
        port_is_why = error.errno in (errno.EADDRINUSE, errno.EACCES)
        cure = (
            "stop the other program, or set PROXY_PORT to another port"
            if port_is_why
            else "set PROXY_HOST to an address of this machine"
        )
        raise OSError(f"cannot listen on {host}:{port}: {reason}; {cure}") from None


def serve(settings: Settings) -> int:
    """Run the proxy until it is stopped, and return the exit code."""
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
    # Everything created so far is permanent: exempt it from collections, which take 20 ms each.
    gc.freeze()
    # uvicorn raises the signal again after everything has shut down.
    with contextlib.suppress(KeyboardInterrupt):
        server = Server(bridge, listener)
        server.run(sockets=[listener])
    return 0
