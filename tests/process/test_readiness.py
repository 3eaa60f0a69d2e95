"""READY is a proof: the child is well, it is ours, and a token came.

Every lie is found out and named.
"""

from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from proxy.errors import ChildFailed
from proxy.llama_server import LaunchSpec, ProcessAddress, ProcessState, Timeouts
from proxy.llama_server.process.readiness import StartFailed, wait_ready
from tests.process.conftest import Fake, nothing_left
from tests.process.fake_server import Conduct, Handler

PATIENT = Timeouts(wait=30)
SHORT_LOAD = Timeouts(wait=30, load=0.3)
SHORT_TOKEN = Timeouts(wait=30, token=0.3)


async def test_a_long_load_is_waited_for(fake: Fake) -> None:
    async with fake(loading=6) as supervisor:
        await supervisor.ensure_ready()
        assert supervisor.state is ProcessState.READY


async def test_an_embedding_model_proves_itself_with_a_vector(fake: Fake) -> None:
    async with fake(token=501) as supervisor:
        await supervisor.ensure_ready()
        assert supervisor.state is ProcessState.READY


async def test_a_token_that_is_still_loading_is_waited_for(fake: Fake) -> None:
    # Ends after it said 503: the next start is good.
    async with fake(token=503, misbehaves=1, answers=1) as supervisor:
        await supervisor.ensure_ready()
        assert supervisor.state is ProcessState.READY


@pytest.mark.parametrize(
    ("conduct", "timings", "reason"),
    [
        (
            {"prelude": "export LLAMA_API_KEY=other"},
            PATIENT,
            "another server responds on its port: it rejects our key",
        ),
        (
            {"props": {"model_path": "/other.gguf"}},
            PATIENT,
            "another server responds on its port: it serves /other.gguf",
        ),
        (
            {"props": {"model_alias": "other"}},
            PATIENT,
            "another server responds on its port: its name is other",
        ),
        (
            {"props_status": 404, "props": {}},
            PATIENT,
            "another server responds on its port: status 404 for /props",
        ),
        (
            {"props": "<html>"},
            PATIENT,
            "another server responds on its port: status 200 for /props",
        ),
        ({"props": []}, PATIENT, "another server responds on its port: status 200 for /props"),
        (
            {"token": 500},
            PATIENT,
            'the server is up, but generating a token failed with 500: {"content": "a"}',
        ),
        (
            {"token_hangs": True},
            SHORT_TOKEN,
            "the server is up, but generated no token within 0.3 s",
        ),
        ({"props": {"default_generation_settings": []}}, PATIENT, "AttributeError("),
    ],
)
async def test_what_is_no_proof(
    fake: Fake, conduct: dict[str, Any], timings: Timeouts, reason: str
) -> None:
    async with fake(timings=timings, **conduct) as supervisor:
        with pytest.raises(ChildFailed, match="The last lines of its log"):
            await supervisor.ensure_ready()
        assert supervisor.reason.startswith(reason)
        await nothing_left(supervisor.process_group)


async def test_a_child_that_never_listens_is_given_up(fake: Fake) -> None:
    """It may be ended before its first line: on a slow machine it has hardly begun by then."""
    async with fake(timings=SHORT_LOAD, hangs=True) as supervisor:
        with pytest.raises(ChildFailed):
            await supervisor.ensure_ready()
        assert supervisor.reason.startswith("not ready within 0.3 s: ConnectError")
        await nothing_left(supervisor.process_group)


@pytest.fixture
def unwell() -> Iterator[ProcessAddress]:
    """A server that listens already, and says at each question that it is not well."""

    class Unwell(Handler):
        conduct = Conduct(health=500)

    with HTTPServer(("127.0.0.1", 0), Unwell) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield ProcessAddress(f"http://127.0.0.1:{server.server_port}", "key")
        server.shutdown()
        thread.join()


async def test_a_child_that_is_never_well_is_given_up(unwell: ProcessAddress) -> None:
    launch = LaunchSpec(Path("model.gguf"), "fake", Path("llama-server"), ())
    with pytest.raises(StartFailed, match=r"^not ready within 0.05 s: /health returned 500$"):
        await wait_ready(unwell, launch, load=0.05, token=1)
