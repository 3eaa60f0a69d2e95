"""`llama-bridge key`: print the API key for clients on other machines, or create a new one."""

import argparse
import os
from collections.abc import Sequence

from proxy.cli.output import fail
from proxy.settings import load
from proxy.web import key_file


def run(arguments: argparse.Namespace) -> int:
    place = key_file.default_path()
    try:
        if (
            given := load({"PROXY_API_KEYS": os.environ.get("PROXY_API_KEYS", "")}).api_keys
        ) is not None:
            return _show_given(given, change=arguments.new)
        print(key_file.create(place) if arguments.new else key_file.read_or_create(place))
    except ValueError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{place}: {error.strerror}")
    return 0


def _show_given(keys: Sequence[str], *, change: bool) -> int:
    """Print the keys of `PROXY_API_KEYS`, which replaces the key file; fail if there are none."""
    if change or not keys:
        fail(
            "the keys come from PROXY_API_KEYS; change them there"
            if keys
            else "authentication is disabled by PROXY_API_KEYS=none"
        )
    print("\n".join(keys))
    return 0
