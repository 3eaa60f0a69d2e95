"""API keys: verification, and the error message for a request without a valid key."""

import base64
import binascii
import hmac
from dataclasses import dataclass
from pathlib import Path

from proxy.web import headers
from proxy.web.headers import RawHeaders

_REQUIRED = "missing or invalid API key; send `Authorization: Bearer KEY`"


@dataclass(frozen=True, slots=True)
class ApiKeys:
    keys: tuple[str, ...] = ()  # empty: no authentication
    file: Path | None = None  # file of the generated key; None if the keys were configured

    @property
    def generated(self) -> str | None:
        """Return the generated key, or None if there are no keys or they were configured.

        Only a generated key may be printed.
        """
        return self.keys[0] if self.keys and self.file is not None else None

    def accepts(self, sent: RawHeaders) -> bool:
        if not self.keys:
            return True
        given = _sent_key(sent)
        # Compare with every key, so that the response time does not reveal which one matched.
        return sum(hmac.compare_digest(given, key.encode()) for key in self._current()) > 0

    def _current(self) -> tuple[str, ...]:
        """Return the keys that are valid now.

        A generated key is read from its file each time, so `llama-bridge key --new` takes effect
        immediately. If the file is gone, no key is valid.
        """
        if self.file is None:
            return self.keys
        try:
            key = self.file.read_text().strip()
        except (OSError, UnicodeDecodeError):
            return ()
        return (key,) if key else ()

    def missing_key_message(self, *, is_local: bool) -> str:
        """Return the message of the 401 response.

        Only a local client sees the path of the key file.
        """
        if not is_local:
            where = "" if self.file is not None else ", or use a key of its PROXY_API_KEYS"
            return f"{_REQUIRED}. To see the key, run `llama-bridge key` on the server{where}."
        if self.file is None:
            return f"{_REQUIRED} with one of the keys that PROXY_API_KEYS had at startup"
        return (
            f"{_REQUIRED}. The key is in {_tilde_path(self.file)}, and `llama-bridge key` "
            f"prints it. "
            f"In opencode.json it is `provider.llama-bridge.options.apiKey`."
        )


def _sent_key(sent: RawHeaders) -> bytes:
    scheme, _, token = (headers.first(sent, b"authorization") or "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip().encode("latin-1")
    if scheme.lower() == "basic":
        return _password(token)
    return (headers.first(sent, b"x-api-key") or "").encode("latin-1")


def _password(token: str) -> bytes:
    """Return the key in Basic credentials: the password, or the user name if there is none."""
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
