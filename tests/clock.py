"""Fake clock for modules that cache what they know about a backend."""

from types import SimpleNamespace

import pytest

from proxy.backends import base, detection, single_flight
from proxy.backends.llama_cpp import client
from proxy.web import health


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        for module in (base, detection, client, single_flight, health):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
