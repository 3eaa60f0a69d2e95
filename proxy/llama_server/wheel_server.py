"""Standalone program that offers the engine of the xllamacpp wheel with llama-server's flags.

Used if there is no llama-server. It imports nothing of the project except the option table, and
sets only public attributes of the wheel, so a flag is known if and only if it is in the table
(wheel_options.py).
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

# Import the table without its package, which is large and may not be importable here.
if __name__ == "__main__":
    for name, folder in (
        ("proxy", Path(__file__).parent.parent),
        ("proxy.llama_server", Path(__file__).parent),
    ):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(folder)]

from proxy.llama_server.wheel_attributes import Attribute
from proxy.llama_server.wheel_options import OPTIONS

# Four slots that share one cache, llama-server's default: each may use the whole context.
SLOTS = -1


def _flags() -> dict[str, tuple[Attribute, bool]]:
    """Return each flag with its attribute, and whether it switches the attribute on."""
    found = {
        flag: (attribute, not attribute.inverted)
        for names, attribute in OPTIONS.items()
        for flag in names.split()
    }
    off = {
        f"--no-{names.split()[0][2:]}": (attribute, attribute.inverted)
        for names, attribute in OPTIONS.items()
        if attribute.is_switch
    }
    return found | off


def help_text() -> str:
    """Return the options in the format of llama-server's help, so that one parser reads both.

    `4: trace` in the first line says that verbosity 4 logs layers and memory.
    """
    lines = ["llama-server of the xllamacpp wheel; verbosity 4: trace", ""]
    for names, attribute in OPTIONS.items():
        flag, *others = names.split()
        turned = [f"--no-{flag[2:]}"] if attribute.is_switch else []
        words = (
            f"  allowed values: {', '.join(attribute.words)}"
            if attribute.words and attribute.hint != "N"
            else ""
        )
        numbers = (
            "".join(f"  '{word}'" for word in attribute.words) if attribute.hint == "N" else ""
        )
        lines.append(
            f"{', '.join([*others, flag, *turned])}{f' {attribute.hint}' if attribute.hint else ''}"
            f"{words}{numbers}"
        )
    return "\n".join(lines)


def configure(parameters: Any, arguments: Sequence[str], key: str) -> None:
    parameters.n_parallel = SLOTS
    parameters.api_keys = [key] if key else []
    left, flags = iter(arguments), _flags()
    for flag in left:
        if flag not in flags:
            raise ValueError(f"invalid argument: {flag}")
        attribute, on = flags[flag]
        if attribute.is_switch:
            attribute.put(parameters, on)
            continue
        value = next(left, None)
        if value is None:
            raise ValueError(f"expected value for argument: {flag}")
        try:
            attribute.put(parameters, attribute.kind(value))
        except (ValueError, LookupError, AttributeError, TypeError, OSError):
            raise ValueError(f"invalid value for argument: {flag} {value}") from None


def devices(found: Sequence[dict[str, Any]]) -> list[str]:
    """Return the devices in llama-server's format."""
    size = {
        name: [int(device[name]) // 2**20 for device in found]
        for name in ("memory_total", "memory_free")
    }
    rows = zip(found, size["memory_total"], size["memory_free"], strict=True)
    return [
        "device_info:",
        *(
            f"  - {row['name']:<8}: {row['description']} ({total} MiB, {free} MiB free)"
            for row, total, free in rows
        ),
    ]


def main(arguments: Sequence[str]) -> None:
    if "--help" in arguments:
        print(help_text())
        return
    # Exit at once on SIGINT, as on SIGTERM: there is nothing to clean up.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    try:
        configure(parameters, arguments, os.environ.get("LLAMA_API_KEY", ""))
        print(*devices(xllamacpp.get_device_info()), sep="\n", file=sys.stderr, flush=True)
        # Returns when the model is loaded, and serves as long as the object is referenced.
        _serving = xllamacpp.Server(parameters)
    except (ValueError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    while True:
        signal.pause()


if __name__ == "__main__":
    main(sys.argv[1:])
