"""What all tests share."""

import pytest
from hypothesis import settings

# The same examples each time: what the gate says of a change is no matter of chance. `make fuzz` looks further.
settings.register_profile("gate", derandomize=True, database=None)
settings.load_profile("gate")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
