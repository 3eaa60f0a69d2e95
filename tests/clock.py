"""A clock that stands still until it is put forward, for what remembers how old its knowledge of
a backend is.
"""

from types import SimpleNamespace

import pytest

from proxy.backends import base, detection, raw, shared
from proxy.web import status


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        for module in (base, detection, raw, shared, status):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
