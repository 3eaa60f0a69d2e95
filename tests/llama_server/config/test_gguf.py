"""GGUF files, written byte by byte: whole, split, damaged, cut off."""

import importlib.util
import os
import runpy
import struct
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.llama_server.config import gguf, model_folder
from proxy.llama_server.config.gguf import DamagedFile
from proxy.llama_server.config.model_folder import ModelPathError
from tests.process.conftest import TINY


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def typed(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    if isinstance(value, list) and value and isinstance(value[0], str):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
    if isinstance(value, list):
        return struct.pack(f"<IIQ{len(value)}I", 9, 4, len(value), *value)
    return struct.pack("<II", 4, value)


def made(
    path: Path, values: dict[str, Any], weights: int = 64, *, data: bytes | None = None
) -> Path:
    """One tensor of F32 weights, and the values given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = (
        b"GGUF"
        + struct.pack("<IQQ", 3, 1, len(values))
        + b"".join(text(key) + typed(value) for key, value in values.items())
    )
    head += text("w") + struct.pack("<IQIQ", 1, weights, 0, 0)
    head += b"\0" * (-len(head) % 32)
    path.write_bytes(head + (data if data is not None else b"\0" * 4 * weights))
    return path


LLAMA = {
    "general.architecture": "llama",
    "general.name": "My Model",
    "general.file_type": 15,
    "llama.context_length": 4096,
    "llama.block_count": 32,
    "tokenizer.chat_template": "{{ x }}",
    "tokenizer.ggml.tokens": [str(number) for number in range(100)],
    "tokenizer.ggml.token_type": list(range(100)),
    "short": [1, 2],
}


def test_what_a_model_reports(tmp_path: Path) -> None:
    header = gguf.read(made(tmp_path / "a.gguf", LLAMA))
    assert (
        header.name,
        header.architecture,
        header.quantisation,
        header.context,
        header.layers,
        header.template,
    ) == (
        "My Model",
        "llama",
        "Q4_K_M",
        4096,
        32,
        "{{ x }}",
    )
    assert (
        header.values["tokenizer.ggml.tokens"] == header.values["tokenizer.ggml.token_type"] == 100
    )
    assert header.values["short"] == [1, 2]
    assert not header.is_projector
    assert not header.is_embedding
    assert header.split is None


def test_what_a_model_does_not_tell(tmp_path: Path) -> None:
    header = gguf.read(made(tmp_path / "bare.gguf", {}))
    assert (
        header.name,
        header.architecture,
        header.quantisation,
        header.context,
        header.template,
    ) == (
        "bare",
        "unknown",
        "unknown",
        None,
        None,
    )


def test_the_model_that_ships_with_us() -> None:
    header = gguf.read(TINY)
    assert (header.name, header.architecture, header.quantisation, header.context) == (
        "tiny-toolcaller",
        "llama",
        "F16",
        131072,
    )
    assert header.template


def test_all_types_are_known() -> None:
    """Compared with the package of llama.cpp itself.

    Its tables need nothing of what the rest of it needs.
    """
    package = importlib.util.find_spec("gguf")
    assert package is not None
    assert package.submodule_search_locations is not None
    constants: Any = runpy.run_path(
        str(Path(package.submodule_search_locations[0]) / "constants.py")
    )
    sizes = constants["GGML_QUANT_SIZES"]
    types = {kind.value: (kind.name, *sizes[kind]) for kind in constants["GGMLQuantizationType"]}
    # llama.cpp's own header has two halves there, the package two floats.
    assert types | {9: ("Q8_1", 32, 36)} == gguf.TYPES
    names = {
        kind.value: kind.name.partition("_")[2]
        for kind in constants["LlamaFileType"]
        if kind.name != "GUESSED"
    }
    assert names == gguf.FILE_TYPES


@pytest.mark.parametrize(
    ("kind", "name", "block", "size"), [(39, "NVFP4", 64, 36), (40, "Q1_0", 128, 18)]
)
def test_a_model_of_a_new_type_that_is_cut_off(
    kind: int, name: str, block: int, size: int, tmp_path: Path
) -> None:
    head = (
        b"GGUF"
        + struct.pack("<IQQ", 3, 1, 1)
        + text("general.file_type")
        + struct.pack("<II", 4, kind)
    )
    head += text("w") + struct.pack("<IQIQ", 1, block * 10, kind + 1, 0)
    path = tmp_path / "a.gguf"
    path.write_bytes(head + b"\0" * (-len(head) % 32) + b"\0" * size * 10)
    assert gguf.read(path).quantisation == name
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    with pytest.raises(DamagedFile, match="the file is truncated"):
        gguf.read(path)


def test_a_list_of_lists(tmp_path: Path) -> None:
    raw = (
        LIST
        + struct.pack("<IQ", 9, 2)
        + struct.pack("<IQ2B", 0, 2, 1, 2)
        + struct.pack("<IQ", 8, 0)
    )
    (tmp_path / "a.gguf").write_bytes(raw)
    assert gguf.read(tmp_path / "a.gguf").values == {"k": [[1, 2], []]}
    (tmp_path / "b.gguf").write_bytes(
        LIST + struct.pack("<IQ", 9, 65) + struct.pack("<IQ", 8, 0) * 65
    )
    assert gguf.read(tmp_path / "b.gguf").values == {"k": 65}


@pytest.mark.parametrize(
    ("limit", "reason"),
    [("_WORDS_LIMIT", "more than 99 strings"), ("_TEXT_LIMIT", "more than 99 bytes")],
)
def test_no_head_is_read_without_end(
    limit: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf, limit, 99)
    with pytest.raises(DamagedFile, match=reason):
        gguf.read(made(tmp_path / "a.gguf", LLAMA))


def test_a_head_for_which_there_is_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf._GgufReader, "values", Mock(side_effect=MemoryError))
    with pytest.raises(DamagedFile, match="not enough memory"):
        gguf.read(made(tmp_path / "a.gguf", LLAMA))


def test_a_context_that_makes_no_sense(tmp_path: Path) -> None:
    assert gguf.read(made(tmp_path / "a.gguf", LLAMA | {"llama.context_length": 0})).context is None


def test_other_kinds(tmp_path: Path) -> None:
    assert gguf.read(made(tmp_path / "p.gguf", {"general.architecture": "clip"})).is_projector
    assert gguf.read(made(tmp_path / "q.gguf", {"general.type": "mmproj"})).is_projector
    assert gguf.read(
        made(tmp_path / "e.gguf", {"general.architecture": "bert", "bert.pooling_type": 1})
    ).is_embedding


def test_the_other_byte_order(tmp_path: Path) -> None:
    path = tmp_path / "big.gguf"
    path.write_bytes(
        b"GGUF"
        + struct.pack(">IQQ", 3, 0, 1)
        + struct.pack(">Q", 1)
        + b"k"
        + struct.pack(">II", 4, 7)
    )
    assert gguf.read(path).values == {"k": 7}


LIST = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<I", 9)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the header is incomplete"),
        (b"<html>", "not a GGUF file"),
        (b"GGUF" + struct.pack("<I", 1), "unsupported GGUF version 1"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "the header is invalid"),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**50),
            "a string is longer than the file",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<I", 99),
            "a value has the unknown type 99",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<IIQ", 9, 4, 2**50),
            "an array is longer than the file",
        ),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**40), "the header is invalid"),
        (LIST + struct.pack("<IQ", 9, 1) * 900, "arrays nested deeper than 4"),
        (
            LIST + struct.pack("<IQ", 9, 100) * 900 + b"\0" * 2**10,
            "arrays nested deeper than 4",
        ),
        (LIST + struct.pack("<IQ", 77, 1), "an array has the unknown type 77"),
        (LIST + struct.pack("<IQ", 8, 2**62), "an array is longer than the file"),
        (LIST + struct.pack("<IQ", 10, 2**62), "an array is longer than the file"),
        (
            LIST + struct.pack("<IQ", 8, 100) + struct.pack("<Q", 2**62) + b"\0" * 2**10,
            "a string is longer than the file",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + text("w") + struct.pack("<I", 9),
            "a tensor has 9 dimensions",
        ),
        (
            b"GGUF"
            + struct.pack("<IQQ", 3, 0, 1)
            + text("general.alignment")
            + struct.pack("<II", 4, 0),
            "the alignment is invalid",
        ),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "d.gguf").write_bytes(content)
    with pytest.raises(DamagedFile, match=reason):
        gguf.read(tmp_path / "d.gguf")


def test_a_file_that_is_cut_off_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match=r"the file is truncated: .* download it again"):
        gguf.read(made(tmp_path / "c.gguf", LLAMA, 1000, data=b"\0" * 100))
    with pytest.raises(DamagedFile, match="cannot be read: No such file"):
        gguf.read(tmp_path / "no-such.gguf")
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(DamagedFile, match="not a regular file"):
        gguf.read(tmp_path / "pipe.gguf")


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_file_does_worse_than_being_named(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    raw = bytearray(made(tmp_path_factory.getbasetemp() / "f.gguf", LLAMA).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, min(len(raw), 400) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "broken.gguf"
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    try:
        said = f"{gguf.read(path).size} bytes"
    except DamagedFile as reason:
        said = str(reason)
    assert said


def test_a_folder(tmp_path: Path) -> None:
    made(tmp_path / "one.gguf", LLAMA)
    for number in (1, 2):
        made(tmp_path / f"sub/big-0000{number}-of-00002.gguf", LLAMA if number == 1 else {})
    made(tmp_path / "sub/mmproj-big.gguf", {"general.architecture": "clip"})
    made(tmp_path / "half/lost-00001-of-00003.gguf", LLAMA)
    made(tmp_path / "other/one.GGUF", LLAMA)
    (tmp_path / "bad.gguf").write_bytes(b"x" * 10)
    (tmp_path / "link.gguf").symlink_to("nowhere")
    found = model_folder.scan(tmp_path)
    assert {model.name: (model.path.name, model.projector) for model in found.models} == {
        "one": ("one.gguf", None),
        "other/one": ("one.GGUF", None),
        "big": ("big-00001-of-00002.gguf", tmp_path / "sub/mmproj-big.gguf"),
    }
    assert found.models[-1].size == sum(
        path.stat().st_size for path in (tmp_path / "sub").glob("big*")
    )
    assert [(path.name, reason) for path, reason in found.damaged] == [
        ("bad.gguf", "not a GGUF file: it does not start with `GGUF`"),
        ("link.gguf", "cannot be read: No such file or directory"),
        ("lost-00001-of-00003.gguf", "2 of its parts are missing or damaged"),
    ]


def test_what_a_name_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (
        made(tmp_path / "one-00001-of-00002.gguf", {}),
        made(tmp_path / "one-00002-of-00002.gguf", {}),
    )
    assert (
        model_folder.resolve(str(one), tmp_path)
        == model_folder.resolve(one.name, tmp_path)
        == model_folder.resolve("one*.gguf", tmp_path)
        == one
    )
    assert model_folder.resolve(".", tmp_path) == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    assert model_folder.resolve("~/one*", Path("/")) == one
    made(tmp_path / "three.gguf", {})
    with pytest.raises(
        ModelPathError,
        match=r"2 files match .*: one-00001-of-00002\.gguf, three\.gguf\; name one of them",
    ):
        model_folder.resolve("*.gguf", tmp_path)
    with pytest.raises(ModelPathError, match=r"no file matches .*no\*"):
        model_folder.resolve("no*", tmp_path)
    with pytest.raises(
        ModelPathError, match=rf"no such file: .*no\.gguf; {tmp_path} contains: one-00001"
    ):
        model_folder.resolve("no.gguf", tmp_path)
    with pytest.raises(ModelPathError, match=r"no such file: .*x/no\.gguf$"):
        model_folder.resolve("x/no.gguf", tmp_path)
    (tmp_path / "link.gguf").symlink_to("nowhere")
    with pytest.raises(ModelPathError, match=r"/link\.gguf is a broken link to nowhere$"):
        model_folder.resolve("link.gguf", tmp_path)
    assert two.exists()
