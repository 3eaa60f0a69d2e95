"""The keys that open the door, and what somebody reads who has none: where to find one depends
on where he sits.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass
from pathlib import Path

from proxy.web import headers
from proxy.web.headers import RawHeaders

_REQUIRED = "a key of this proxy is needed, as authorization: Bearer KEY"


@dataclass(frozen=True, slots=True)
class ApiKeys:
    keys: tuple[str, ...] = ()  # empty: the door is open
    file: Path | None = None  # where the one lies that was made; None where they were given

    @property
    def generated(self) -> str | None:
        """The one that may be shown: whoever gave keys has them, and did not ask to see them in
        a log.
        """
        return self.keys[0] if self.keys and self.file is not None else None

    def accepts(self, sent: RawHeaders) -> bool:
        if not self.keys:
            return True
        given = _sent_key(sent)
        # All, whichever fits.
        return sum(hmac.compare_digest(given, key.encode()) for key in self._current()) > 0

    def _current(self) -> tuple[str, ...]:
        """`llama-bridge key --new` changes the one that was made: what lies in the file is what
        opens, and nothing where it is gone.
        """
        if self.file is None:
            return self.keys
        try:
            key = self.file.read_text().strip()
        except (OSError, UnicodeDecodeError):
            return ()
        return (key,) if key else ()

    def missing_key_message(self, *, is_local: bool) -> str:
        """From another machine nothing is told of this one's files."""
        if not is_local:
            where = "" if self.file is not None else ", or ask whoever set PROXY_API_KEYS there"
            return f'{_REQUIRED}: run "llama-bridge key" on the server{where}'
        if self.file is None:
            return (
                f"{_REQUIRED}: one of those that PROXY_API_KEYS named when this proxy was started"
            )
        return (
            f'{_REQUIRED}: it lies in {_tilde_path(self.file)}, and "llama-bridge key" shows it; '
            f'in opencode.json it is provider, llama-bridge, options, "apiKey": "KEY"'
        )


def _sent_key(sent: RawHeaders) -> bytes:
    scheme, _, token = (headers.first(sent, b"authorization") or "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip().encode("latin-1")
    if scheme.lower() == "basic":
        return _password(token)
    return (headers.first(sent, b"x-api-key") or "").encode("latin-1")


def _password(token: str) -> bytes:
    """What a browser asked for: the key in either of the two fields, whatever stands beside a
    key that is the password.
    """
    try:
        name, _, password = base64.b64decode(token.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return b""
    return password or name


def _tilde_path(path: Path) -> str:
    try:
        return f"~/{path.relative_to(Path.home())}"
    except ValueError:
        return str(path)
