"""Ids of ours, for answers and calls."""

import secrets
import string


def new_id(prefix: str) -> str:
    """Letters only: clients search bodies for 500 and the like to decide whether to ask again."""
    return prefix + "".join(secrets.choice(string.ascii_letters) for _ in range(24))
