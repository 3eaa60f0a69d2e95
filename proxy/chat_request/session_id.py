"""The name of a conversation whose client gives it none: the same at every turn, another for
another conversation.
"""

import hashlib
from typing import Any

from proxy import exact_json


def session_id(body: dict[str, Any]) -> str:
    """Made from how the conversation opens, which no later turn changes: all up to the first
    word of the user.
    """
    opening: list[Any] = []
    for message in body["messages"]:
        opening.append(message)
        if isinstance(message, dict) and message.get("role") == "user":
            break
    return hashlib.blake2b(exact_json.dumps(opening), digest_size=16).hexdigest()
