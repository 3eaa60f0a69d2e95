"""READY is a proof: the child is well, it is ours, and a token came. Every lie is found out and named."""

from typing import Any

import pytest

from proxy.errors import ChildFailed
from proxy.llama_server import State, Timings

from .conftest import Fake, nothing_left

PATIENT = Timings(wait=30)
SHORT_LOAD = Timings(wait=30, load=0.3)
SHORT_TOKEN = Timings(wait=30, token=0.3)


async def test_a_long_load_is_waited_for(fake: Fake) -> None:
    async with fake(loading=6) as supervisor:
        await supervisor.ensure_ready()
        assert supervisor.state is State.READY


async def test_an_embedding_model_proves_itself_with_a_vector(fake: Fake) -> None:
    async with fake(token=501) as supervisor:
        await supervisor.ensure_ready()
        assert supervisor.state is State.READY


async def test_a_token_that_is_still_loading_is_waited_for(fake: Fake) -> None:
    async with fake(token=503, misbehaves=1, answers=1) as supervisor:  # ends after it said 503: the next start is good
        await supervisor.ensure_ready()
        assert supervisor.state is State.READY


@pytest.mark.parametrize(
    ("conduct", "timings", "reason"),
    [
        ({"prelude": "export LLAMA_API_KEY=other"}, PATIENT, "a foreign server answers on its port: it does not know our key"),
        ({"props": {"model_path": "/other.gguf"}}, PATIENT, "a foreign server answers on its port: it serves /other.gguf"),
        ({"props": {"model_alias": "other"}}, PATIENT, "a foreign server answers on its port: it calls itself other"),
        ({"props_status": 404, "props": {}}, PATIENT, "what answers is no llama-server: /props says 404"),
        ({"props": "<html>"}, PATIENT, "what answers is no llama-server: /props says 200"),
        ({"props": []}, PATIENT, "what answers is no llama-server: /props says 200"),
        ({"token": 500}, PATIENT, 'it is up, but the first token failed with 500: {"content": "a"}'),
        ({"token_hangs": True}, SHORT_TOKEN, "it is up, but no first token came within 0.3 s"),
        ({"health": 500}, SHORT_LOAD, "not ready within 0.3 s: /health says 500"),
        ({"hangs": True}, SHORT_LOAD, "not ready within 0.3 s: ConnectError"),
        ({"props": {"default_generation_settings": []}}, PATIENT, "AttributeError("),
    ],
)
async def test_what_is_no_proof(fake: Fake, conduct: dict[str, Any], timings: Timings, reason: str) -> None:
    async with fake(timings=timings, **conduct) as supervisor:
        with pytest.raises(ChildFailed, match="The last lines of its log"):
            await supervisor.ensure_ready()
        assert supervisor.reason.startswith(reason)
        await nothing_left(supervisor.group)
