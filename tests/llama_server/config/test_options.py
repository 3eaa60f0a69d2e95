"""What a build can be told: read from a real `--help`, and what people write in its place."""

import os
from pathlib import Path

import pytest

from proxy.llama_server.config import options
from proxy.llama_server.config.ini import ConfigEntry, ConfigurationError
from proxy.llama_server.config.options import Build, binary_build, read_help, wheel_build

HELP = (Path(__file__).parent / "help/2026.txt").read_text()
NEW = Build(read_help(HELP), "this llama-server", "")
OLD_HELP = """
-c,    --ctx-size N                     size (env: LLAMA_ARG_CTX_SIZE)
-fa,   --flash-attn                     enable Flash Attention (default: disabled)
-ngl,  --gpu-layers, --n-gpu-layers N   number of layers to store in VRAM
--mlock                                 force system to keep model in RAM
--no-mmap                               do not memory-map model
--draft-max, --draft, --draft-n N       number of tokens to draft (default: 16)
-nkvo, --no-kv-offload                  disable KV offload
"""
OLD = Build(read_help(OLD_HELP), "this llama-server", "See its --help.")


def said(build: Build, *pairs: tuple[str, str | None]) -> list[str]:
    return list(
        build.flags(
            ConfigEntry(key, value, Path("c"), line) for line, (key, value) in enumerate(pairs, 1)
        )
    )


@pytest.mark.parametrize(
    ("key", "value", "flags"),
    [
        ("ctx-size", "32768", "--ctx-size 32768"),
        ("c", "32768", "--ctx-size 32768"),
        ("llama-arg-ctx-size", "32768", "--ctx-size 32768"),
        ("n-ctx", "32768", "--ctx-size 32768"),
        ("jinja", None, "--jinja"),
        ("jinja", "true", "--jinja"),
        ("jinja", "off", "--no-jinja"),
        ("no-jinja", None, "--no-jinja"),
        ("no-jinja", "false", "--jinja"),
        ("no-host", None, "--no-host"),
        ("metrics", "false", ""),
        ("flash-attn", None, "--flash-attn on"),
        ("flash-attn", "true", "--flash-attn on"),
        ("fa", "0", "--flash-attn off"),
        ("flash-attn", "auto", "--flash-attn auto"),
        ("n-gpu-layers", "-1", "--n-gpu-layers auto"),
        ("ngl", "26", "--n-gpu-layers 26"),
        ("gpu-layers", "all", "--n-gpu-layers all"),
        ("spec-draft-ngl", "-1", "--n-gpu-layers-draft auto"),
        ("cache-type-k", "q8_0", "--cache-type-k q8_0"),
        ("type-k", "8", "--cache-type-k q8_0"),
        ("type-v", "f16", "--cache-type-v f16"),
        ("mlock", None, "--load-mode mmap+mlock"),
        ("mlock", "false", ""),
        ("no-mmap", None, "--load-mode none"),
        ("mmap", "true", "--load-mode mmap"),
        ("use-mmap", "false", "--load-mode none"),
        ("draft-max", "16", "--spec-draft-n-max 16"),
        ("model-draft", "d.gguf", "--spec-draft-model d.gguf"),
        ("spec-type", "ngram-mod", "--spec-type ngram-mod"),
        ("split-mode", "row", "--split-mode row"),
        ("numa", "isolate", "--numa isolate"),
        ("cpu-strict", "1", "--cpu-strict 1"),
        ("device", "CUDA0", "--device CUDA0"),
        ("slot-save-path", "~/slots", f"--slot-save-path {Path.home()}/slots"),
        ("chat-template", "chatml", "--chat-template chatml"),
        ("chat-template", "{{ messages }}", "--chat-template {{ messages }}"),
        ("temp", "0.7", "--temperature 0.7"),
        ("n-threads", "8", "--threads 8"),
        ("embedding", None, "--embeddings"),
        ("nr", None, "--no-repack"),
        ("nocb", None, "--no-cont-batching"),
    ],
)
def test_a_line_as_this_build_takes_it(key: str, value: str | None, flags: str) -> None:
    assert " ".join(said(NEW, (key, value))) == flags


@pytest.mark.parametrize(
    ("key", "value", "flags"),
    [
        ("flash-attn", None, "--flash-attn"),
        ("flash-attn", "on", "--flash-attn"),
        ("flash-attn", "off", ""),
        ("flash-attn", "auto", ""),
        ("n-gpu-layers", "-1", "--n-gpu-layers 999"),
        ("mlock", None, "--mlock"),
        ("no-mmap", "true", "--no-mmap"),
        ("draft-max", "8", "--draft-max 8"),
        ("no-kv-offload", None, "--no-kv-offload"),
    ],
)
def test_an_older_build_is_spoken_to_in_its_own_words(
    key: str, value: str | None, flags: str
) -> None:
    assert " ".join(said(OLD, (key, value))) == flags


@pytest.mark.parametrize(
    ("build", "key", "value", "reason"),
    [
        (
            NEW,
            "ctx-sise",
            "1",
            "c:1: ctx-sise is not an option of this llama-server (did you mean ctx-size?)",
        ),
        (NEW, "zzzz", "1", "zzzz is not an option of this llama-server"),
        (OLD, "spec-type", "x", "spec-type is not an option of this llama-server. See its --help."),
        (OLD, "type-k", "8", "type-k is not an option of this llama-server"),
        (NEW, "ctx-size", None, "ctx-size needs a value: `ctx-size = N`"),
        (NEW, "ctx-size", "big", "ctx-size must be a whole number, not 'big'"),
        (NEW, "ctx-size", "-5", "ctx-size must be a whole number, not '-5'"),
        (NEW, "ctx-size", "1e4", "ctx-size must be a whole number, not '1e4'"),
        (NEW, "temp", "warm", "temp must be a number, not 'warm'"),
        (
            NEW,
            "n-gpu-layers",
            "most",
            "n-gpu-layers must be a number or `auto` or `all`, not 'most'",
        ),
        (NEW, "cache-type-k", "q8", "cache-type-k must be one of f32, f16, bf16, q8_0"),
        (NEW, "cache-type-k", "q8", "did you mean q8_0?"),
        (NEW, "flash-attn", "maybe", "flash-attn must be one of on, off, auto, not 'maybe'"),
        (NEW, "jinja", "maybe", "jinja must be `true` or `false`, not 'maybe'"),
        (
            NEW,
            "chat-template",
            "qwen",
            "chat-template 'qwen' is not a template of llama.cpp; remove it",
        ),
        (NEW, "chat-template", "mine", "chat-template 'mine' is not a template"),
        (
            NEW,
            "chat-format",
            "chatml",
            "chat-format cannot be set: remove it: the model's own template is used",
        ),
        (
            NEW,
            "logits-all",
            "true",
            ("logits-all cannot be set: remove it: it is an option of llama-cpp-python"),
        ),
        (
            NEW,
            "spec-ngram-size-n",
            "4",
            "was removed from this llama-server: use the respective --spec-ngram-*-size-n",
        ),
        (NEW, "port", "8080", "port cannot be set here: llama-bridge sets it"),
        (NEW, "api-key", "x", "api-key cannot be set here"),
        (NEW, "help", None, "help cannot be set here: it starts no server"),
    ],
)
def test_an_invalid_option_is_refused_with_the_reason(
    build: Build, key: str, value: str | None, reason: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        said(build, (key, value))
    assert reason in str(refused.value)


def test_two_names_for_one_option_contradict_each_other() -> None:
    with pytest.raises(
        ConfigurationError, match=r"^c:2: no-mmap and mlock \(line 1\) both set `load-mode`"
    ):
        said(NEW, ("mlock", None), ("no-mmap", None))
    assert said(NEW, ("ctx-size", "1"), ("n-ctx", "1")) == ["--ctx-size", "1"]


def test_the_wheel_takes_what_its_attributes_can_set() -> None:
    wheel = wheel_build()
    assert said(
        wheel, ("n-gpu-layers", "-1"), ("fa", None), ("kv-offload", "no"), ("fit", "on")
    ) == [
        "--gpu-layers",
        "auto",
        "--flash-attn",
        "on",
        "--no-kv-offload",
        "--fit",
    ]
    assert said(wheel, ("no-warmup", None), ("mlock", None)) == [
        "--no-warmup",
        "--load-mode",
        "mmap+mlock",
    ]
    with pytest.raises(
        ConfigurationError,
        match=(r"n-cpu-ffn is not an option of the xllamacpp wheel.*Set LLAMA_SERVER"),
    ):
        said(wheel, ("n-cpu-ffn", "4"))


def program(path: Path, help: str, marker: Path) -> Path:
    path.write_text(f"#!/bin/sh\necho asked >> {marker}\n/bin/cat <<'EOF'\n{help}\nEOF\n")
    path.chmod(0o755)
    return path


def test_a_binary_is_asked_once_until_it_changes(tmp_path: Path) -> None:
    asked, cache = tmp_path / "asked", tmp_path / "cache"
    binary = program(tmp_path / "llama-server", OLD_HELP, asked)
    for _ in range(3):
        assert binary_build(binary, cache).knows("mlock")
    assert asked.read_text() == "asked\n"
    program(binary, HELP, asked)
    assert not binary_build(binary, cache).knows("mlock")
    assert asked.read_text() == "asked\nasked\n"
    assert len(list(cache.iterdir())) == 1  # what it was before is forgotten


def test_a_binary_that_does_not_tell_is_asked_again(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    binary = program(tmp_path / "llama-server", "what?", asked)
    for _ in range(2):
        assert not binary_build(binary, tmp_path).options
    assert asked.read_text() == "asked\nasked\n"
    assert not binary_build(tmp_path / "no-such", tmp_path).options


def test_without_a_place_to_remember_it_is_asked_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setitem(os.environ, "XDG_CACHE_HOME", str(tmp_path / "file"))
    binary = program(tmp_path / "llama-server", OLD_HELP, tmp_path / "asked")
    assert binary_build(binary).knows("mlock")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert options._cache_folder() == Path.home() / ".cache/llama-bridge"
