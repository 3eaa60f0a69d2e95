"""The C++ server of the xllamacpp wheel as a program that takes llama-server's flags: what runs where there is no llama-server.

Run as a file, with nothing of ours imported: it is a child process like any other llama-server. Only public attributes of
the wheel are set, so that a flag is known if and only if it stands in the table.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

Setter = Callable[[Any, str], None]

# Four slots that share one cache, as llama-server does by itself: each may use the whole context.
SLOTS = -1


def _into(path: str, kind: Callable[[str], object]) -> Setter:
    *parents, name = path.split(".")

    def put(parameters: Any, value: str) -> None:
        for parent in parents:
            parameters = getattr(parameters, parent)
        setattr(parameters, name, kind(value))

    return put


OPTIONS: dict[str, Setter] = {
    "-m": _into("model.path", str),
    "--alias": _into("model_alias", lambda value: {value}),
    "--host": _into("hostnames", lambda value: [value]),
    "--port": _into("port", int),
    "-c": _into("n_ctx", int),
    "--temp": _into("sampling.temp", float),
    "-t": _into("cpuparams.n_threads", int),
}


def configure(parameters: Any, arguments: Sequence[str], key: str) -> None:
    parameters.n_parallel = SLOTS
    parameters.api_keys = [key] if key else []
    left = iter(arguments)
    for flag in left:
        if flag not in OPTIONS:
            raise ValueError(f"invalid argument: {flag}")
        value = next(left, None)
        if value is None:
            raise ValueError(f"expected value for argument: {flag}")
        try:
            OPTIONS[flag](parameters, value)
        except ValueError:
            raise ValueError(f"invalid value for argument: {flag} {value}") from None


def devices(found: Sequence[dict[str, Any]]) -> list[str]:
    """In llama-server's own words, so that one reader understands both."""
    size = {name: [int(device[name]) // 2**20 for device in found] for name in ("memory_total", "memory_free")}
    rows = zip(found, size["memory_total"], size["memory_free"], strict=True)
    return ["device_info:", *(f"  - {row['name']:<8}: {row['description']} ({total} MiB, {free} MiB free)" for row, total, free in rows)]


def main(arguments: Sequence[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # like SIGTERM: this process has nothing to tidy up
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    try:
        configure(parameters, arguments, os.environ.get("LLAMA_API_KEY", ""))
        print(*devices(xllamacpp.get_device_info()), sep="\n", file=sys.stderr, flush=True)
        _serving = xllamacpp.Server(parameters)  # returns when the model is loaded, and serves while it is referred to
    except (ValueError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    while True:
        signal.pause()


if __name__ == "__main__":
    main(sys.argv[1:])
