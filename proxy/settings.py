"""The settings: name, type, default and help of each.

Every setting is an environment variable and a flag of `serve`; the flag takes precedence. A secret
can be given as `@file`, which keeps it out of the process list.
"""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from proxy.backends import KINDS, address, canonical_kind
from proxy.dialects import select

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s]+")
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class SettingsError(ValueError):
    """A setting is invalid. The message names it and says why, in one line."""


def _comma_separated(value: Any) -> Any:
    return (
        tuple(part.strip() for part in value.split(",") if part.strip())
        if isinstance(value, str)
        else value
    )


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    backend_url: Annotated[
        str,
        Field(
            description=(
                "upstream URL; `local` (default) starts llama-server; `zen` is OpenCode's zen"
            )
        ),
    ] = "local"
    backend_api_key: Annotated[
        SecretStr | None,
        Field(description="API key for the backend; sent only to `BACKEND_URL`"),
    ] = None
    zen_api_key: Annotated[
        SecretStr | None,
        Field(description="your key for OpenCode's zen; sent only to opencode.ai"),
    ] = None
    backend_kind: Annotated[
        str,
        Field(
            description=(
                f"kind of server: {', '.join(f'`{kind.kind}`' for kind in KINDS)}; `auto` "
                f"detects it"
            )
        ),
    ] = "auto"
    backend_model: Annotated[
        str | None,
        Field(description="model to use when a client names one that the backend does not have"),
    ] = None
    proxy_host: Annotated[
        str,
        Field(description="address to listen on; `0.0.0.0` listens on the LAN and requires a key"),
    ] = "127.0.0.1"
    proxy_port: Annotated[
        int,
        Field(ge=0, le=65535, description="port to listen on; 0 picks a free one"),
    ] = 8081
    proxy_api_keys: Annotated[
        tuple[SecretStr, ...] | None,
        Field(
            description="keys that clients must send, comma-separated; "
            "`none` disables authentication; "
            "default: none on loopback, a generated key elsewhere"
        ),
    ] = None
    allowed_hosts: Annotated[
        tuple[str, ...],
        Field(
            description=(
                "further host names that clients may use, comma-separated, such as `mypc.lan`"
            )
        ),
    ] = ()
    cors_origins: Annotated[
        tuple[str, ...],
        Field(
            description=(
                "web origins that may use the server, comma-separated, "
                "such as `https://chat.example.com`; `*` allows all"
            )
        ),
    ] = ()
    max_requests: Annotated[
        int,
        Field(
            ge=1,
            description=(
                "requests answered at the same time; further ones get 503 with `Retry-After`"
            ),
        ),
    ] = 2048
    progress: Annotated[
        Literal["off", "reasoning"],
        Field(
            description=(
                "`reasoning`: a waiting client sees prompt progress as reasoning, "
                "which is removed again before the model reads it"
            )
        ),
    ] = "off"
    log_format: Annotated[
        Literal["text", "json"],
        Field(description="`json`: one JSON object per line"),
    ] = "text"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="least severe level to log; `warning` logs only what went wrong"),
    ] = "info"
    tool_parsing: Annotated[
        Literal["auto", "native", "raw"],
        Field(
            description="`auto`: calls that the backend parses and calls in the text; `native`: "
            "the text is not searched; "
            "`raw`: llama.cpp without its own parser"
        ),
    ] = "auto"
    tool_dialect: Annotated[
        tuple[str, ...],
        Field(description="dialects to read, comma-separated; `auto` recognises them"),
    ] = ("auto",)
    quoted_calls: Annotated[
        Literal["text", "run"],
        Field(
            description="`text`: calls that an answer only quotes stay text; `run`: they run, "
            "except in code; "
            "the log counts refused calls by rule"
        ),
    ] = "text"
    thinking: Annotated[
        Literal["auto", "tags", "forced", "off"],
        Field(
            description=(
                "`tags`: reasoning begins with a tag; `forced`: every answer begins with "
                "reasoning; `off`: tags are text"
            )
        ),
    ] = "auto"
    llama_server: Annotated[
        Path | None,
        Field(
            description=(
                "llama-server to start; default: the one on `PATH`, else the one in the wheel"
            )
        ),
    ] = None
    llama_server_conf: Annotated[
        Path | None,
        Field(
            description=(
                "llama-server options and models; default: `llama-server.conf` in the current "
                "folder, else next to the key file"
            )
        ),
    ] = None
    llama_model: Annotated[
        str | None,
        Field(
            description=(
                "a GGUF file, a folder of them, a section of llama-server.conf, "
                "or `hf:owner/repo:quant`; default: the tiny model"
            )
        ),
    ] = None

    @field_validator("backend_url")
    @classmethod
    def _word(cls, value: str) -> str:
        value = value.strip()
        return value.lower() if value.lower() in ("local", "zen") else value

    @field_validator("allowed_hosts", "cors_origins", "tool_dialect", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _comma_separated(value)

    @field_validator("allowed_hosts", "cors_origins")
    @classmethod
    def _lower(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name.lower() for name in value)

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if origin not in ("*", "null") and not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"invalid origin {origin!r}; write scheme and host without a path, such as "
                    f"https://chat.example.com"
                )
        return value

    @field_validator("proxy_api_keys", mode="before")
    @classmethod
    def _keys(cls, value: Any) -> Any:
        if value == "none":
            return ()
        if (keys := _comma_separated(_from_file(value))) == ():
            raise ValueError("no key given; set it to `none` to disable authentication")
        return tuple(_text(key) for key in keys)

    @field_validator("backend_kind")
    @classmethod
    def _kind(cls, value: str) -> str:
        return canonical_kind(value)

    @field_validator("backend_api_key", "zen_api_key", mode="before")
    @classmethod
    def _key(cls, value: Any) -> Any:
        return _text(_from_file(value))

    @field_validator("tool_parsing")
    @classmethod
    def _allows_raw(cls, value: str, info: ValidationInfo) -> str:
        kind = "zen" if info.data.get("backend_url") == "zen" else info.data.get("backend_kind")
        if value == "raw" and kind not in ("auto", "llama_cpp", "llamacpp"):
            raise ValueError(f"`raw` needs a llama.cpp backend, but BACKEND_KIND is {kind}")
        return value

    @field_validator("llama_server", "llama_server_conf")
    @classmethod
    def _expanduser(cls, value: Path | None) -> Path | None:
        return value.expanduser() if value is not None else None

    @field_validator("tool_dialect")
    @classmethod
    def _known_dialect(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        select(value)
        return value or ("auto",)

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not self.starts_server:
            _ = self.backend_address
        return self

    @property
    def starts_server(self) -> bool:
        return self.backend_url in ("", "local")

    @property
    def backend_address(self) -> address.BackendAddress:
        """Return the backend's address with the API key to send there.

        `ZEN_API_KEY` is sent to zen only. Without a key, zen expects the key `public`.
        """
        own = _secret(self.backend_api_key)
        is_zen = address.parse(self.backend_url).is_zen
        if is_zen:
            own = _secret(self.zen_api_key) or own
        return address.parse(
            self.backend_url,
            own or (address.NO_KEY if is_zen or self.backend_kind == "zen" else None),
        )

    @property
    def api_keys(self) -> tuple[str, ...] | None:
        """Return the clients' keys: None if unset, empty if authentication is disabled."""
        return (
            None
            if self.proxy_api_keys is None
            else tuple(key.get_secret_value() for key in self.proxy_api_keys)
        )

    @property
    def listens_beyond_loopback(self) -> bool:
        return self.proxy_host not in LOOPBACK


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() or None if value is not None else None


def _text(key: Any) -> Any:
    """Return `key`, or raise if it cannot be sent in an HTTP header."""
    if isinstance(key, str) and not key.isprintable():
        raise ValueError("a key must be one line of text")
    return key


def _from_file(value: Any) -> Any:
    """Return the content of the file if `value` is `@file`, otherwise `value` itself."""
    if not isinstance(value, str) or not value.startswith("@"):
        return value
    path = Path(value[1:]).expanduser()
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"cannot read {path}: not a text file") from None


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add one flag for each setting to `parser`."""
    for name, field in Settings.model_fields.items():
        parser.add_argument(
            "--" + name.replace("_", "-"),
            metavar="VALUE",
            help=f"{field.description} [{name.upper()}]",
        )


def load(environment: Mapping[str, str], flags: Mapping[str, str | None] | None = None) -> Settings:
    """Return the settings from `environment` and `flags`; raise `SettingsError` on the first error.

    An empty environment variable counts as unset, except `BACKEND_URL`, where it means `local`.
    """
    given: dict[str, str] = {}
    for name in Settings.model_fields:
        flag = (flags or {}).get(name)
        value = flag if flag is not None else environment.get(name.upper())
        if value is not None and (value != "" or name == "backend_url"):
            given[name] = value
    try:
        return Settings.model_validate(given)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]).upper() if first["loc"] else "BACKEND_URL"
        raise SettingsError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from None
