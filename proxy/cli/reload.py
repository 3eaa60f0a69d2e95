"""`llama-bridge reload`: make the running llama-bridge reread llama-server.conf."""

import argparse
import os

from proxy import admin_client
from proxy.cli.output import fail, print_safe
from proxy.settings import load


def run(_: argparse.Namespace) -> int:
    try:
        print_safe(admin_client.reload(load(os.environ)))
    except ValueError as error:
        fail(str(error))
    return 0
