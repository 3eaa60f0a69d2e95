"""The servers of these tests, each started once: they are shared, so a test leaves its server as
it found it, or takes its own.
"""

import json
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from proxy.app import Bridge
from proxy.settings import Settings
from proxy.tiny_model import MODEL
from tests.engine.bridges import opened
from tests.engine.conversation import LEAK
from tests.engine.engine import script
from tests.engine.process import Proxy, serving

HIDDEN = f"<think>\nI look at the files.\n{LEAK}\n{LEAK.replace('ls -la', 'pwd')}\n</think>\n\n"


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    """One loop for all tests of this folder, and for no others: the servers live in it."""
    return "asyncio"


@pytest.fixture(scope="package")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="package")
async def leaking() -> AsyncIterator[Bridge]:
    """Nothing configured: our own child, and a template that llama.cpp cannot read calls by."""
    async with opened(Settings()) as bridge:
        yield bridge


@pytest.fixture(scope="package")
async def native(engines: Path) -> AsyncIterator[Bridge]:
    """llama.cpp reads the calls itself."""
    engine = script(
        engines / "native", "--chat-template-file", str(MODEL.with_name("template_native.jinja"))
    )
    async with opened(Settings(llama_server=engine)) as bridge:
        yield bridge


@pytest.fixture(scope="package")
async def hiding(engines: Path) -> AsyncIterator[Bridge]:
    """Whatever it is asked, it thinks, and calls two tools in its thoughts."""
    grammar = engines / "hiding.gbnf"
    grammar.write_text(f"root ::= {json.dumps(HIDDEN)}")
    async with opened(
        Settings(llama_server=script(engines / "hiding", "--grammar-file", str(grammar)))
    ) as bridge:
        yield bridge


@pytest.fixture(scope="package")
async def single(engines: Path) -> AsyncIterator[Bridge]:
    """One question at a time."""
    async with opened(Settings(llama_server=script(engines / "single", "-np", "1"))) as bridge:
        yield bridge


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Whoever started the tests in the background had SIGINT ignored, and what they start would
    inherit that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The command as a user starts it, with nothing configured but a free port."""
    with serving(tmp_path_factory.mktemp("served")) as proxy:
        yield proxy
