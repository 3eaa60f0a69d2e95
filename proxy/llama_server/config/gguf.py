"""Reader of GGUF metadata, which reads only the header and thus takes milliseconds.

A damaged file is reported with the reason. A truncated file is detected by the position that its
last tensor should have.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from proxy.printable import printable

MAGIC = b"GGUF"
_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_STRING, _ARRAY = 8, 9
_LONG = 64  # of longer arrays only the length is kept: vocabularies have 100,000 entries
# Minimum bytes per value.
_LEAST = {_STRING: 8, _ARRAY: 12} | {
    kind: struct.calcsize("<" + letter) for kind, letter in _SCALARS.items()
}
# Beyond these limits a file is damaged or malicious.
_TEXT_LIMIT = 64 * 2**20
_TENSORS_LIMIT, _PAIRS_LIMIT = 2**20, 2**16
_WORDS_LIMIT = 2**22  # in all arrays of strings
_DEPTH_LIMIT = 4  # of nested arrays; none are known
_DIMENSIONS_LIMIT = 8

# ggml's types: name, weights per block, bytes per block.
TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4),
    27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}  # fmt: skip
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4",
    40: "Q1_0",
}  # fmt: skip
_SPLIT = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<of>\d{5})\.gguf", re.IGNORECASE)


class DamagedFile(ValueError):
    """Error for a file that is not a complete GGUF file; the message says why."""


@dataclass(frozen=True)
class GgufHeader:
    path: Path
    size: int
    values: Mapping[str, Any]

    def _number(self, key: str) -> int | None:
        value = self.values.get(key)
        return value if isinstance(value, int) else None

    def _text(self, key: str) -> str | None:
        value = self.values.get(key)
        return value if isinstance(value, str) and value else None

    @property
    def architecture(self) -> str:
        return printable(self._text("general.architecture") or "unknown")

    @property
    def is_projector(self) -> bool:
        return self.architecture == "clip" or self._text("general.type") == "mmproj"

    @property
    def name(self) -> str:
        return printable(self._text("general.name") or self.path.stem)

    @property
    def file_name(self) -> str:
        """Return the model name derived from the file name, without the part number of a split."""
        return printable(self.split[0] if self.split else self.path.stem)

    @property
    def context(self) -> int | None:
        """Return the context length that the model was trained with, or None if unknown."""
        length = self._number(f"{self.architecture}.context_length")
        return length if length is not None and length > 0 else None

    @property
    def layers(self) -> int | None:
        return self._number(f"{self.architecture}.block_count")

    @property
    def template(self) -> str | None:
        return self._text("tokenizer.chat_template")

    @property
    def quantisation(self) -> str:
        return (
            FILE_TYPES.get(self._number("general.file_type") or 0, "unknown")
            if "general.file_type" in self.values
            else "unknown"
        )

    @property
    def is_embedding(self) -> bool:
        return f"{self.architecture}.pooling_type" in self.values and self.template is None

    @cached_property
    def split(self) -> tuple[str, int, int] | None:
        """Return (name, part number, part count) of a split file, or None if it is not split."""
        found = _SPLIT.fullmatch(self.path.name)
        return (found["name"], int(found["number"]), int(found["of"])) if found else None


def read(path: Path) -> GgufHeader:
    try:
        if path.exists() and not path.is_file():  # opening a pipe would block
            raise DamagedFile("not a regular file")
        with path.open("rb") as file:
            size = path.stat().st_size
            return GgufHeader(path, size, _GgufReader(file, size).values())
    except OSError as error:
        raise DamagedFile(f"cannot be read: {error.strerror}") from None
    except MemoryError:
        raise DamagedFile("cannot be read: not enough memory for its header") from None


class _GgufReader:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size, self._order = file, size, "<"
        self._words = self._kept = 0

    def values(self) -> dict[str, Any]:
        if self._bytes(4) != MAGIC:
            raise DamagedFile("not a GGUF file: it does not start with `GGUF`")
        version = self._one("I")
        if version & 0xFFFF == 0:  # written on a machine with the other byte order
            self._order, version = ">", struct.unpack(">I", struct.pack("<I", version))[0]
        if version not in (2, 3):
            raise DamagedFile(f"unsupported GGUF version {version}")
        tensors, pairs = self._one("Q"), self._one("Q")
        if tensors > _TENSORS_LIMIT or pairs > _PAIRS_LIMIT:
            raise DamagedFile("the header is invalid")
        values = {self._text(): self._value(self._one("I")) for _ in range(pairs)}
        self._all_there(tensors, values)
        return values

    def _all_there(self, tensors: int, values: Mapping[str, Any]) -> None:
        ends = [self._tensor() for _ in range(tensors)]
        alignment = values.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1:
            raise DamagedFile("the alignment is invalid")
        begin = -(-self._file.tell() // alignment) * alignment
        needed = begin + max(ends, default=0)
        if ends and needed > self._size:
            raise DamagedFile(
                f"the file is truncated: it has {self._size:,} of at least {needed:,} bytes; "
                f"download it again"
            )

    def _tensor(self) -> int:
        """Read one tensor entry and return where its data ends, relative to the first tensor."""
        self._text()
        count = self._one("I")
        if count > _DIMENSIONS_LIMIT:
            raise DamagedFile(f"a tensor has {count:,} dimensions")
        dimensions = [self._one("Q") for _ in range(count)]
        kind, offset = self._one("I"), self._one("Q")
        _, block, size = TYPES.get(kind, ("", 1, 0))
        return int(offset + prod(dimensions) // block * size)

    def _value(self, kind: int, depth: int = 0) -> Any:
        if kind in _SCALARS:
            return self._one(_SCALARS[kind])
        if kind == _STRING:
            return self._text()
        if kind != _ARRAY:
            raise DamagedFile(f"a value has the unknown type {kind}")
        inner, count = self._one("I"), self._one("Q")
        if inner not in _LEAST:
            raise DamagedFile(f"an array has the unknown type {inner}")
        if count * _LEAST[inner] > self._size - self._file.tell():
            raise DamagedFile("an array is longer than the file")
        if inner in _SCALARS and count > _LONG:
            self._file.seek(count * _LEAST[inner], 1)
            return count
        return self._list(inner, count, depth + 1)

    def _list(self, inner: int, count: int, depth: int) -> Any:
        self._words += count
        if depth > _DEPTH_LIMIT:
            raise DamagedFile(f"arrays nested deeper than {_DEPTH_LIMIT}")
        if self._words > _WORDS_LIMIT:
            raise DamagedFile(f"more than {_WORDS_LIMIT:,} strings in its arrays")
        if count <= _LONG:
            return [self._value(inner, depth) for _ in range(count)]
        for _ in range(count):
            self._skip(inner, depth)
        return count

    def _skip(self, kind: int, depth: int) -> None:
        if kind == _STRING:
            self._file.seek(self._length(), 1)
        else:
            self._value(kind, depth)

    def _text(self) -> str:
        length = self._length()
        self._kept += length
        if self._kept > _TEXT_LIMIT:
            raise DamagedFile(f"the strings in its header have more than {_TEXT_LIMIT:,} bytes")
        return self._bytes(length).decode(errors="replace")

    def _length(self) -> int:
        length = int(self._one("Q"))
        if length > self._size:
            raise DamagedFile("a string is longer than the file")
        return length

    def _one(self, kind: str) -> Any:
        return struct.unpack(self._order + kind, self._bytes(struct.calcsize(self._order + kind)))[
            0
        ]

    def _bytes(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise DamagedFile("the header is incomplete; download the file again")
        return data
