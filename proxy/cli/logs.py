"""`llama-bridge logs`: print what the llama-servers of the llama-bridge that runs have written."""

import argparse
import os

from proxy import admin_client
from proxy.cli.output import _say, _stop
from proxy.settings import load


def show_logs(arguments: argparse.Namespace) -> int:
    try:
        admin_client.logs(load(os.environ), arguments.model, _say, follow=arguments.follow)
    except ValueError as error:
        _stop(str(error))
    except KeyboardInterrupt:
        return 130
    return 0
