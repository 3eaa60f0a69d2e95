"""Derives a conversation id for clients that send none."""

import hashlib
from typing import Any

from proxy import exact_json


def session_id(body: dict[str, Any]) -> str:
    """Return a hash of the messages up to the first user message, which later turns do not
    change.
    """
    opening: list[Any] = []
    for message in body["messages"]:
        opening.append(message)
        if isinstance(message, dict) and message.get("role") == "user":
            break
    return hashlib.blake2b(exact_json.dumps(opening), digest_size=16).hexdigest()
