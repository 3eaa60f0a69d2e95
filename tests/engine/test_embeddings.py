"""Embeddings with the engine that ships, switched on as README says."""

import math
from pathlib import Path

from proxy.settings import load
from proxy.tiny_model import MODEL
from tests.asgi import ask
from tests.engine.bridges import opened, place


async def test_a_model_makes_one_vector_a_text_however_long(tmp_path: Path) -> None:
    conf = tmp_path / "llama-server.conf"
    conf.write_text(f"[tiny]\nmodel = {MODEL}\nembeddings = true\n")
    async with opened(load({"LLAMA_SERVER_CONF": str(conf)})) as bridge:
        await place(bridge)
        texts = ["hello", "list the files " * 700]
        answer = await ask(bridge, "/v1/embeddings", {"model": "tiny", "input": texts})
        assert answer.status == 200, answer.text
        vectors = [row["embedding"] for row in answer.json["data"]]
        assert [math.isclose(math.hypot(*vector), 1, rel_tol=1e-3) for vector in vectors] == [
            True,
            True,
        ]
        assert answer.json["usage"]["prompt_tokens"] > 2000
