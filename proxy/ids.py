"""Random ids for answers and tool calls."""

import secrets
import string


def new_id(prefix: str) -> str:
    """Return `prefix` and 24 random letters.

    Ids contain no digits, because some clients search error bodies for numbers such as "500" to
    decide whether to retry.
    """
    return prefix + "".join(secrets.choice(string.ascii_letters) for _ in range(24))
