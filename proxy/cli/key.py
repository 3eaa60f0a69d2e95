"""`llama-bridge key`: show the key that clients from other machines need, or make a new one."""

import argparse
import os
from collections.abc import Sequence

from proxy.cli.output import _stop
from proxy.settings import load
from proxy.web import key_file


def key(arguments: argparse.Namespace) -> int:
    place = key_file.place()
    try:
        if (
            given := load({"PROXY_API_KEYS": os.environ.get("PROXY_API_KEYS", "")}).keys
        ) is not None:
            return _given(given, change=arguments.new)
        print(key_file.make(place) if arguments.new else key_file.read_or_make(place))
    except ValueError as error:
        _stop(str(error))
    except OSError as error:
        _stop(f"{place}: {error.strerror}")
    return 0


def _given(keys: Sequence[str], *, change: bool) -> int:
    """What the environment says is what opens the door: the file of keys lies unused."""
    if change or not keys:
        _stop(
            f"PROXY_API_KEYS "
            f"{'names the keys: change them there' if keys else 'leaves the door open'}"
        )
    print("\n".join(keys))
    return 0
