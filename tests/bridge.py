"""The whole application in front of a scripted backend, configured as by the environment."""

import httpx

from proxy import create_app
from proxy.app import Bridge
from proxy.settings import load
from tests.backend import Backend, models

URL = "http://10.0.0.5:1/v1"


def bridge(backend: httpx.AsyncBaseTransport | None = None, /, **options: str) -> Bridge:
    """Return the application for a generic backend, unless `options` name another."""
    environment = {"BACKEND_URL": URL, "BACKEND_KIND": "generic"} | {
        name.upper(): value for name, value in options.items()
    }
    return create_app(load(environment), backend or Backend({"/v1/models": models("m")}))
