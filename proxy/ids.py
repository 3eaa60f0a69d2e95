"""Random ids for answers and tool calls."""

import secrets
import string


def new_id(prefix: str) -> str:
    """Return `prefix` and 24 random letters.

    No digits: some clients search response bodies for "500" and the like to decide about a retry.
    """
    return prefix + "".join(secrets.choice(string.ascii_letters) for _ in range(24))
