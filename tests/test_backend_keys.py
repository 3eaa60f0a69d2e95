"""Backend API keys: each is sent to its own server, and to no other."""

import pytest

from proxy.settings import SettingsError, load

BOTH = {"ZEN_API_KEY": "z", "BACKEND_API_KEY": "b"}


@pytest.mark.parametrize(
    ("environment", "key"),
    [
        ({"BACKEND_URL": "zen", **BOTH}, "z"),
        ({"BACKEND_URL": "https://opencode.ai/zen/go/v1", **BOTH}, "z"),
        ({"BACKEND_URL": "zen"}, "public"),
        ({"BACKEND_URL": "http://10.0.0.5", **BOTH}, "b"),
        ({"BACKEND_URL": "http://10.0.0.5", "ZEN_API_KEY": "z"}, None),
        ({"BACKEND_URL": "https://opencode.ai.example.com", "ZEN_API_KEY": "z"}, None),
        (
            {"BACKEND_URL": "https://example.com", "ZEN_API_KEY": "z", "BACKEND_KIND": "zen"},
            "public",
        ),
        (
            {"BACKEND_URL": "https://example.com", "BACKEND_API_KEY": "b", "BACKEND_KIND": "zen"},
            "b",
        ),
    ],
)
def test_the_key_that_goes_with_a_question(environment: dict[str, str], key: str | None) -> None:
    assert load(environment).backend_address.key == key


@pytest.mark.parametrize("url", ["http://opencode.ai/zen/v1", "http://example.com"])
def test_never_in_the_clear_through_the_world(url: str) -> None:
    with pytest.raises(SettingsError, match=r"plain HTTP"):
        load({"BACKEND_URL": url, **BOTH})


def test_a_key_from_a_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("keys") / "zen"
    file.write_text("z\n")
    settings = load({"BACKEND_URL": "zen", "ZEN_API_KEY": f"@{file}"})
    assert settings.backend_address.key == "z"
    assert "z" not in repr(settings.zen_api_key)


def test_what_is_no_kind_of_server() -> None:
    with pytest.raises(SettingsError, match=r"BACKEND_KIND: unknown backend kind 'x'"):
        load({"BACKEND_KIND": "x"})
    assert load({"BACKEND_KIND": "lmstudio"}).backend_kind == "lm_studio"
