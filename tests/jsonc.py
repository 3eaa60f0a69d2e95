"""JSON with whole-line comments, as OpenCode reads it."""

import json
import re
from typing import Any

COMMENT = re.compile(r"^ *//.*\n", re.MULTILINE)


def parsed(text: str) -> Any:
    return json.loads(COMMENT.sub("", text))
