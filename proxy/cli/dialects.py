"""`llama-bridge dialects`: list the tool-call dialects, with a sample of each."""

import argparse
from textwrap import indent

from proxy import dialects


def run(_: argparse.Namespace) -> int:
    for one in dialects.DIALECTS.values():
        limit = " (only if named, or hinted at by template or model)" if one.needs_hint else ""
        print(f"\n{one.name}{limit}\n\n{indent(one.sample, '    ')}\n")
        spoken = {
            "markers": one.openers,
            "only at the beginning": one.tentative_openers,
            "headers": one.headers,
            "template": one.template_markers,
        }
        for what, words in spoken.items():
            if words:
                print(f"  {what}: {'  '.join(map(repr, words))}")
        if one.model_pattern:
            print(f"  model: {one.model_pattern}")
    return 0
