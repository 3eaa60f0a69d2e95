"""`llama-bridge dialects`: how models write calls, with a sample of each."""

import argparse
from textwrap import indent

from proxy import dialects


def run(_: argparse.Namespace) -> int:
    for one in dialects.DIALECTS.values():
        print(
            f"\n{one.name}{' (only if named, or with a hint)' if one.needs_hint else ''}\n\n"
            f"{indent(one.sample, '    ')}\n"
        )
        spoken = {
            "markers": one.openers,
            "or at the beginning": one.tentative_openers,
            "headers": one.headers,
            "template": one.template_markers,
        }
        for what, words in spoken.items():
            if words:
                print(f"  {what}: {'  '.join(map(repr, words))}")
        if one.model_pattern:
            print(f"  model: {one.model_pattern}")
    return 0
