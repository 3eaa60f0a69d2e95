"""File of the generated API key, created on first use and readable by its owner only."""

import logging
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

logger = logging.getLogger("llama-bridge")


def default_path(environment: Mapping[str, str] = os.environ) -> Path:
    base = environment.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "llama-bridge" / "key"


def read_or_create(path: Path) -> str:
    try:
        if key := path.read_text().strip():
            if (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
                logger.warning(
                    "%s is readable by other users (mode %o); run `chmod 600 %s`",
                    path,
                    mode,
                    path,
                )
            return key
    except FileNotFoundError:
        pass
    except UnicodeDecodeError:
        raise ValueError(
            f"{path} is not a text file; run `llama-bridge key --new` to replace it"
        ) from None
    return create(path)


def create(path: Path) -> str:
    """Generate a key, write it to `path` atomically, and return it."""
    key = "lb-" + secrets.token_urlsafe(24)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)  # an existing file would keep its permissions
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key + "\n")
    new.replace(path)
    return key
