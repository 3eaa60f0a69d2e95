"""Fixtures and settings for all tests."""

from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run, so that the result does not depend on chance. `make fuzz` tries
# others.
settings.register_profile("gate", derandomize=True, database=None)
settings.load_profile("gate")

SLOW = ("exhaustive", "process", "engine")
"""Folders that `make check` leaves out; their tests are marked with their name."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder, *rest = item.path.relative_to(Path(__file__).parent).parts
        if folder in SLOW:
            item.add_marker(folder)
        if folder == "engine":  # a file shares its servers, so it runs in one process
            item.add_marker(pytest.mark.xdist_group(rest[0]))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
