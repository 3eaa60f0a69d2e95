"""Settings: where each may be set, which values it takes, and the message for invalid ones."""

import argparse
from pathlib import Path
from typing import Any

import pydantic
import pytest
from pydantic import SecretStr

from proxy.settings import Settings, SettingsError, add_flags, load

# name, a value as written, its parsed value
OPTIONS: list[tuple[str, str, Any]] = [
    ("backend_url", "http://10.0.0.5:8080", "http://10.0.0.5:8080"),
    ("backend_kind", "generic", "generic"),
    ("backend_kind", "llamacpp", "llama_cpp"),
    ("backend_kind", "llama_cpp", "llama_cpp"),
    ("backend_model", "qwen", "qwen"),
    ("proxy_host", "0.0.0.0", "0.0.0.0"),
    ("proxy_port", "0", 0),
    ("proxy_port", "65535", 65535),
    ("allowed_hosts", "mypc.lan, Other,,", ("mypc.lan", "other")),
    (
        "cors_origins",
        "https://Chat.example.com:8443,null",
        ("https://chat.example.com:8443", "null"),
    ),
    ("cors_origins", "*", ("*",)),
    ("max_requests", "1", 1),
    ("progress", "reasoning", "reasoning"),
    ("log_format", "json", "json"),
    ("log_level", "warning", "warning"),
    ("tool_parsing", "native", "native"),
    ("tool_parsing", "raw", "raw"),
    ("tool_dialect", "hermes", ("hermes",)),
    ("tool_dialect", "hermes, qwen3_coder", ("hermes", "qwen3_coder")),
    ("tool_dialect", ",", ("auto",)),
    ("quoted_calls", "run", "run"),
    ("thinking", "forced", "forced"),
    ("llama_server", "/opt/llama-server", Path("/opt/llama-server")),
    ("llama_server_conf", "~/c.conf", Path.home() / "c.conf"),
    ("llama_model", "~/m.gguf", "~/m.gguf"),
]
SECRETS: list[tuple[str, str, Any]] = [
    ("backend_api_key", "k1", "k1"),
    ("zen_api_key", "k1", "k1"),
    ("proxy_api_keys", "k1, k2,", ("k1", "k2")),
    ("proxy_api_keys", "none", ()),
]


def shown(settings: Settings, name: str) -> Any:
    value = getattr(settings, name)
    return (
        settings.api_keys
        if name == "proxy_api_keys"
        else value.get_secret_value()
        if isinstance(value, SecretStr)
        else value
    )


def flags(*words: str) -> dict[str, str | None]:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return vars(parser.parse_args(words))


def test_the_defaults() -> None:
    settings = load({})
    assert settings == Settings()
    assert settings.starts_server
    assert (settings.proxy_host, settings.proxy_port, settings.listens_beyond_loopback) == (
        "127.0.0.1",
        8081,
        False,
    )
    assert (
        settings.backend_api_key,
        settings.zen_api_key,
        settings.api_keys,
        settings.allowed_hosts,
    ) == (None, None, None, ())
    assert (settings.tool_parsing, settings.tool_dialect, settings.thinking) == (
        "auto",
        ("auto",),
        "auto",
    )
    assert (settings.llama_server, settings.llama_model, settings.backend_model) == (
        None,
        None,
        None,
    )


@pytest.mark.parametrize(("name", "written", "meant"), OPTIONS + SECRETS)
def test_from_the_environment_and_as_a_flag(name: str, written: str, meant: Any) -> None:
    assert shown(load({name.upper(): written}), name) == meant
    assert shown(load({}, flags("--" + name.replace("_", "-"), written)), name) == meant


def test_every_option_is_tried_here() -> None:
    assert {name for name, _, _ in OPTIONS + SECRETS} == set(Settings.model_fields)


def test_every_flag_has_a_help_that_names_its_variable() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    for name, field in Settings.model_fields.items():
        assert field.description
        assert f"[{name.upper()}]" in parser.format_help()


def test_a_flag_wins_over_the_environment() -> None:
    environment = {"PROXY_PORT": "1", "BACKEND_MODEL": "a", "THINKING": "off"}
    settings = load(environment, flags("--proxy-port", "2", "--backend-model", ""))
    assert (settings.proxy_port, settings.backend_model, settings.thinking) == (2, None, "off")


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name != "backend_url"])
def test_an_empty_text_is_no_setting(name: str) -> None:
    assert load({name.upper(): ""}) == Settings()


@pytest.mark.parametrize(
    ("url", "own"), [("", True), ("local", True), ("zen", False), ("10.0.0.5", False)]
)
def test_an_empty_backend_is_our_own_child(url: str, own: bool) -> None:
    assert load({"BACKEND_URL": url}).starts_server is own


def test_the_words_for_a_backend_in_any_letters() -> None:
    assert load({"BACKEND_URL": " ZEN "}).backend_address.is_zen
    assert load({"BACKEND_URL": "Local"}).starts_server
    assert load({"BACKEND_URL": "http://Box/Path"}).backend_url == "http://Box/Path"


def test_other_variables_are_none_of_ours() -> None:
    assert load({"PATH": "/bin", "PROXY_COLOUR": "red", "proxy_port": "5"}) == Settings()


@pytest.mark.parametrize(
    ("host", "beyond"),
    [("127.0.0.1", False), ("localhost", False), ("::1", False), ("0.0.0.0", True), ("mypc", True)],
)
def test_who_can_reach_us(host: str, beyond: bool) -> None:
    assert load({"PROXY_HOST": host}).listens_beyond_loopback is beyond


def test_secrets_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs").write_text("k1\n")
    (tmp_path / "ours").write_text("k2,\nk3\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = load(
        {
            "BACKEND_URL": "http://h",
            "BACKEND_API_KEY": f"@{tmp_path}/theirs",
            "PROXY_API_KEYS": "@~/ours",
        }
    )
    assert (settings.backend_address.key, settings.api_keys) == ("k1", ("k2", "k3"))


def test_an_empty_file_is_no_key_for_the_backend(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    assert (
        load(
            {"BACKEND_URL": "http://h", "BACKEND_API_KEY": f"@{tmp_path}/empty"}
        ).backend_address.key
        is None
    )


def test_an_empty_key_file_accepts_no_key(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    for written in (f"@{tmp_path}/empty", ",", " "):
        with pytest.raises(
            SettingsError,
            match=r"^PROXY_API_KEYS: no key given; set it to `none` to disable authentication$",
        ):
            load({"PROXY_API_KEYS": written})


def test_secrets_are_never_shown() -> None:
    settings = load(
        {
            "BACKEND_API_KEY": "topsecret",
            "PROXY_API_KEYS": "topsecret,other1",
            "BACKEND_URL": "https://h.example.com",
        }
    )
    for text in (
        repr(settings),
        str(settings),
        str(settings.model_dump()),
        settings.model_dump_json(),
    ):
        assert "topsecret" not in text
        assert "other1" not in text


def test_what_is_set_stays() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        Settings().proxy_port = 1


@pytest.mark.parametrize(
    ("name", "written", "reason"),
    [
        ("PROXY_PORT", "eighty", "a valid integer"),
        ("PROXY_PORT", "65536", "less than or equal to 65535"),
        ("PROXY_PORT", "-1", "greater than or equal to 0"),
        (
            "BACKEND_KIND",
            "ollamma",
            "auto, zen, llama_cpp, vllm, llama_cpp_python, lm_studio, ollama, generic",
        ),
        ("TOOL_PARSING", "text", "'auto', 'native' or 'raw'"),
        (
            "TOOL_DIALECT",
            "hermes,klingon",
            "unknown dialect 'klingon': auto, or any of qwen3_coder, hermes",
        ),
        ("THINKING", "on", "'auto', 'tags', 'forced' or 'off'"),
        (
            "BACKEND_API_KEY",
            "@/no/such/file",
            "cannot read /no/such/file: No such file or directory",
        ),
        ("PROXY_API_KEYS", "@/", "cannot read /: Is a directory"),
        ("BACKEND_URL", "ftp://h", "it must start with http:// or https:// and name a host"),
        ("BACKEND_URL", "http://", "it must start with http:// or https:// and name a host"),
        ("BACKEND_URL", "http://h:port", "invalid URL 'http://h:port': Invalid port"),
        ("BACKEND_URL", "http://me:pw@h", "must not contain a user"),
        ("BACKEND_URL", "http://h/v1?x=1", "must not contain a user, query"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(name: str, written: str, reason: str) -> None:
    flag = flags(f"--{name.lower().replace('_', '-')}={written}")
    for environment, given in (({name: written}, None), ({}, flag)):
        with pytest.raises(SettingsError) as error:
            load(environment, given)
        assert str(error.value).startswith(f"{name}: ")
        assert reason in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("backend", "kind"),
    [
        ({"BACKEND_URL": "zen"}, "zen"),
        ({"BACKEND_KIND": "generic"}, "generic"),
        ({"BACKEND_URL": "zen", "BACKEND_KIND": "llamacpp"}, "zen"),
    ],
)
def test_only_llama_cpp_has_a_raw_way(backend: dict[str, str], kind: str) -> None:
    with pytest.raises(SettingsError) as error:
        load({"TOOL_PARSING": "raw", **backend})
    assert (
        str(error.value)
        == f"TOOL_PARSING: `raw` needs a llama.cpp backend, but BACKEND_KIND is {kind}"
    )
    for known in ("auto", "llamacpp", "llama_cpp"):
        assert (
            load(
                {"TOOL_PARSING": "raw", "BACKEND_URL": "10.0.0.5", "BACKEND_KIND": known}
            ).tool_parsing
            == "raw"
        )


def test_a_key_is_never_sent_to_a_public_host_over_plain_http() -> None:
    key = {"BACKEND_API_KEY": "topsecret"}
    with pytest.raises(SettingsError) as error:
        load({"BACKEND_URL": "http://api.example.com", **key})
    assert str(error.value) == (
        "BACKEND_URL: refusing to send an API key over plain HTTP; use https for api.example.com"
    )
    for url in (
        "https://api.example.com",
        "http://10.0.0.5",
        "http://mypc.lan",
        "http://localhost:1",
    ):
        assert load({"BACKEND_URL": url, **key}).backend_address.key == "topsecret"


def test_a_wrong_setting_does_not_show_the_secrets_beside_it() -> None:
    with pytest.raises(SettingsError) as error:
        load(
            {
                "BACKEND_URL": "http://api.example.com",
                "BACKEND_API_KEY": "topsecret",
                "PROXY_API_KEYS": "other1",
            }
        )
    assert "topsecret" not in repr(error.value)
    assert error.value.__cause__ is None


def test_a_secret_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff")
    with pytest.raises(
        SettingsError, match=f"PROXY_API_KEYS: cannot read {tmp_path}/key: not a text file"
    ):
        load({"PROXY_API_KEYS": f"@{tmp_path}/key"})


@pytest.mark.parametrize(
    "origin",
    ["chat.example.com", "https://chat.example.com/", "https://a/b", "https://", "http://a, evil"],
)
def test_what_is_no_origin(origin: str) -> None:
    with pytest.raises(
        SettingsError,
        match=r"CORS_ORIGINS: invalid origin '.*'; write scheme and host without a path, such as https://chat.example.com",
    ):
        load({"CORS_ORIGINS": origin})


@pytest.mark.parametrize("name", ["PROXY_API_KEYS", "BACKEND_API_KEY", "ZEN_API_KEY"])
# The second key is what Python reads from bytes that are not UTF-8.
@pytest.mark.parametrize("key", ["a\nb", "\udcff", "a\x00"])
def test_a_key_that_no_head_of_a_request_could_hold(name: str, key: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: a key must be one line of text$"):
        load({name: key})
