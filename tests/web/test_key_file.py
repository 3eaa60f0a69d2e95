"""The key file: created once, readable by its owner only, and replaced atomically."""

import logging
import os
from pathlib import Path

import pytest

from proxy.web import key_file


def test_where_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert key_file.default_path({"XDG_CONFIG_HOME": "/conf"}) == Path("/conf/llama-bridge/key")
    assert (
        key_file.default_path({"XDG_CONFIG_HOME": ""})
        == key_file.default_path({})
        == tmp_path / ".config/llama-bridge/key"
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", "/other")
    assert key_file.default_path() == Path("/other/llama-bridge/key")


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_it_is_made_once_and_only_its_owner_reads_it(tmp_path: Path, mask: int) -> None:
    path = tmp_path / "a" / "b" / "key"
    before = os.umask(mask)
    try:
        key = key_file.read_or_create(path)
    finally:
        os.umask(before)
    assert key.startswith("lb-")
    assert len(key) >= 32
    assert key_file.read_or_create(path) == key
    assert path.read_text() == key + "\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    assert list(path.parent.iterdir()) == [path]


def test_a_new_one_replaces_the_old(tmp_path: Path) -> None:
    path = tmp_path / "key"
    old = key_file.create(path)
    new = key_file.create(path)
    assert old != new == key_file.read_or_create(path)


def test_an_empty_file_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(" \n")
    assert key_file.read_or_create(path) == path.read_text().strip() != ""


def test_a_key_that_others_can_read_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "key"
    key = key_file.create(path)
    caplog.set_level(logging.WARNING)
    assert key_file.read_or_create(path) == key
    assert caplog.records == []
    path.chmod(0o640)
    assert key_file.read_or_create(path) == key
    assert f"{path} is readable by other users (mode 640); run `chmod 600 {path}`" in caplog.text


def test_a_file_that_is_left_over_does_not_pass_its_mode_on(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.with_suffix(".new").write_text("old")
    path.with_suffix(".new").chmod(0o666)
    key_file.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
