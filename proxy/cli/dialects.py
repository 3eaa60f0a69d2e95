"""`llama-bridge dialects`: how models write calls, with a sample of each."""

import argparse
from textwrap import indent

from proxy import dialects


def list_dialects(_: argparse.Namespace) -> int:
    for one in dialects.DIALECTS.values():
        print(
            f"\n{one.name}{' (only if named, or with a hint)' if one.hinted else ''}\n\n"
            f"{indent(one.sample, '    ')}\n"
        )
        spoken = {
            "markers": one.openers,
            "or at the beginning": one.starts,
            "headers": one.headers,
            "template": one.marks,
        }
        for what, words in spoken.items():
            if words:
                print(f"  {what}: {'  '.join(map(repr, words))}")
        if one.models:
            print(f"  model: {one.models}")
    return 0
