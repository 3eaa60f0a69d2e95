"""llama-server.conf as people write it: what it means, and what is said where it means nothing."""

from pathlib import Path

import pytest

from proxy.llama_server.config.ini import (
    ConfigEntry,
    Configuration,
    ConfigurationError,
    local_override,
    read,
    suggestion,
)


def written(tmp_path: Path, text: str, local: str | None = None) -> Configuration:
    path = tmp_path / "llama-server.conf"
    path.write_text(text)
    if local is not None:
        local_override(path).write_text(local)
    return read(path)


def values(configuration: Configuration, name: str) -> dict[str, str | None]:
    return {key: entry.value for key, entry in configuration.for_model(name).items()}


def test_what_is_for_all_and_what_is_for_one(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        (
            "version = 1\n; a comment\n[*]\nctx-size=1\njinja\n\n[a model]  # mine\n"
            "--ctx-size = 2\n[b]\n"
        ),
    )
    assert values(found, "a model") == {"ctx-size": "2", "jinja": None}
    assert values(found, "b") == values(found, "LLAMA_MODEL") == {"ctx-size": "1", "jinja": None}
    assert list(found.models) == ["a model", "b"]
    assert (
        found.for_model("a model")["ctx-size"].file.name,
        found.for_model("a model")["ctx-size"].line,
    ) == (
        "llama-server.conf",
        8,
    )


def test_the_local_file_wins_value_by_value(tmp_path: Path) -> None:
    found = written(
        tmp_path, "[*]\na = 1\nb = 1\n[m]\nc = 1\nd = 1\n", "[*]\na = 2\n[m]\nd = 2\n[n]\n"
    )
    assert values(found, "m") == {"a": "2", "b": "1", "c": "1", "d": "2"}
    assert list(found.models) == ["m", "n"]
    assert found.for_model("m")["d"].file.name == "llama-server.local.conf"


def test_a_missing_file_is_an_empty_configuration(tmp_path: Path) -> None:
    assert read(None) == read(tmp_path / "no-such.conf") == Configuration()


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("k = v # comment", "v"),
        ("k = v ; comment", "v"),
        ("k = # comment", ""),
        ("k = a#b;c", "a#b;c"),
        ("k = 'a # b'  # comment", "a # b"),
        ('k = "a"', "a"),
        ('k = {"a": "b"}', '{"a": "b"}'),
        ("k = 'a", "'a"),
        ("k = 'a # comment", "'a"),
        ("k = [a # comment", "[a"),
        ("k = it's # comment", "it's"),
        ('k = "a \\" # b" # comment', 'a \\" # b'),
        (
            'k = {"color": "a #fff ; b", "list": [1, 2]} # comment',
            '{"color": "a #fff ; b", "list": [1, 2]}',
        ),
        ('k = {"a": #1}', '{"a": #1}'),
        ('k = "a", "b"  # comment', '"a", "b"'),
        ("k = a = b", "a = b"),
        ("k", None),
        ("k # comment", None),
        ("--k", None),
        ("K = v", "v"),
    ],
)
def test_a_value(tmp_path: Path, line: str, value: str | None) -> None:
    assert values(written(tmp_path, f"[*]\n{line}\n"), "m") == {"k": value}


def test_a_key_may_be_written_as_llama_cpp_python_writes_it(tmp_path: Path) -> None:
    assert values(written(tmp_path, "[*]\nn_GPU_layers = 1\n"), "m") == {"n-gpu-layers": "1"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[*]\n--ctx-size 4096  # big\n",
            ":2: missing `=` after ctx-size. Did you mean `ctx-size = 4096`?",
        ),
        (
            "[*]\nctx size = 4096\n",
            ":2: missing `=` after ctx. Did you mean `ctx = size 4096`?",
        ),
        ("[*]\n= 5\n", ":2: invalid line '= 5'; write `key = value`"),
        ("[*]\n<x>\n", ":2: invalid line '<x>'"),
        ("[model\n", ":1: invalid section '[model'; write [*] for all models, [name] for one"),
        ("[]\n", ":1: invalid section '[]'"),
        (
            "ctx-size = 1\n",
            ":1: ctx-size is before the first section; add [*] above it to apply it to all models",
        ),
        ("[*]\na = 1\na = 2\n", ":3: a is already set in this section"),
    ],
)
def test_what_is_wrong_is_reported_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        written(tmp_path, text)
    assert f"{tmp_path}/llama-server.conf{said}" in str(wrong.value)


def test_all_mistakes_are_reported_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        written(tmp_path, "a = 1\n[*]\nb c\n", "[\n")
    assert [line.split(": ")[0].rpartition("/")[2] for line in str(wrong.value).split("\n")] == [
        "llama-server.conf:1",
        "llama-server.conf:3",
        "llama-server.local.conf:1",
    ]


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigurationError, match=r"a\.conf: cannot be read: "):
        read(path)


def entry(value: str | None) -> ConfigEntry:
    return ConfigEntry("k", value, Path("f"), 3)


def test_values_of_our_own_keys() -> None:
    assert [entry(value).as_bool() for value in (None, "true", "ON", "1", "no", "false")] == [
        True
    ] * 4 + [False] * 2
    assert entry("1.5").as_number(least=0) == 1.5
    assert entry("a").one_of("a", "b") == "a"
    assert entry("a, b,,c ").as_list() == ("a", "b", "c")
    assert entry('"a", "b c" , d').as_list() == ("a", "b c", "d")
    assert entry(None).as_list() == ()
    assert entry("x").as_text() == "x"


def test_wrong_values_of_our_own_keys() -> None:
    with pytest.raises(
        ConfigurationError, match=r"^f:3: k must be `true` or `false`, not 'maybe'$"
    ):
        entry("maybe").as_bool()
    for value, said in (("x", "'x'"), (None, "'nothing'"), ("-1", "'-1'"), ("nan", "'nan'")):
        with pytest.raises(
            ConfigurationError, match=rf"^f:3: k must be a number of at least 0, not {said}$"
        ):
            entry(value).as_number(least=0)
    with pytest.raises(ConfigurationError, match="k must be `a` or `b`, not 'c'"):
        entry("c").one_of("a", "b")
    for value in (None, ""):
        with pytest.raises(ConfigurationError, match="k needs a value"):
            entry(value).as_text()


def test_what_was_probably_meant() -> None:
    assert suggestion("ctx-sise", ["ctx-size", "top-k"]) == " (did you mean ctx-size?)"
    assert suggestion("zzz", ["ctx-size"]) == ""
