"""`llama-bridge models`: a folder as a table."""

from pathlib import Path

import pytest

from proxy.cli import main
from proxy.cli.models import table
from tests.llama_server.config.test_gguf import LLAMA, made


def test_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path / "coder.gguf", LLAMA | {"tokenizer.chat_template": "<tool_call>\n<function=x>"})
    # Of many dialects: it proves none.
    made(tmp_path / "old.gguf", LLAMA | {"tokenizer.chat_template": "<tool_call>"})
    made(tmp_path / "mmproj.gguf", {"general.type": "mmproj"})
    made(tmp_path / "vectors/embed.gguf", {"general.architecture": "bert", "bert.pooling_type": 1})
    made(tmp_path / "other/bare.gguf", {})
    (tmp_path / "bad.gguf").touch()
    big = made(tmp_path / "other/big.gguf", LLAMA)
    with big.open("r+b") as file:
        file.truncate(3 * 2**30)  # a hole: it takes no room
    with pytest.raises(SystemExit) as ended:
        main.main(["models", str(tmp_path)])
    assert ended.value.code == 0
    head, *rows, skipped = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "name",
        "architecture",
        "size",
        "quantisation",
        "context",
        "template",
        "dialect",
    ]
    cells = {row.split()[0]: " ".join(row.split()[1:]) for row in rows}
    assert cells["coder"].startswith("llama 0.0 MiB Q4_K_M 4,096 yes + images qwen3_coder")
    assert cells["old"].endswith(" unknown")
    assert cells["embed"] == "bert 0.0 MiB unknown unknown embeddings unknown"
    assert cells["bare"] == "unknown 0.0 MiB unknown unknown none unknown"
    assert cells["big"] == "llama 3.0 GiB Q4_K_M 4,096 yes unknown"
    assert (
        skipped == f"skipped {tmp_path}/bad.gguf: the header is incomplete; download the file again"
    )


def test_nothing_there(tmp_path: Path) -> None:
    assert table(tmp_path) == f"no models in {tmp_path}"
    with pytest.raises(ValueError, match="is not a folder"):
        table(tmp_path / "x")
