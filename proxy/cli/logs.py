"""`llama-bridge logs`: print the output of the llama-servers of the running llama-bridge."""

import argparse
import os

from proxy import admin_client
from proxy.cli.output import fail, print_safe
from proxy.settings import load


def run(arguments: argparse.Namespace) -> int:
    try:
        admin_client.logs(load(os.environ), arguments.model, print_safe, follow=arguments.follow)
    except ValueError as error:
        fail(str(error))
    except KeyboardInterrupt:
        return 130
    return 0
