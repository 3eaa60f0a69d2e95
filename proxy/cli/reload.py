"""`llama-bridge reload`: let the llama-bridge that runs read llama-server.conf again."""

import argparse
import os

from proxy import admin_client
from proxy.cli.output import _say, _stop
from proxy.settings import load


def reload(_: argparse.Namespace) -> int:
    try:
        _say(admin_client.reload(load(os.environ)))
    except ValueError as error:
        _stop(str(error))
    return 0
