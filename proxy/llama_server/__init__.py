"""The child: the llama-server that we start, look after and end ourselves."""

from proxy.llama_server.catalogue import Catalogue
from proxy.llama_server.catalogue import make as make_catalogue
from proxy.llama_server.configuration import ConfigurationError
from proxy.llama_server.configuration import read as read_configuration
from proxy.llama_server.keeper import Keeper
from proxy.llama_server.launch import EngineMissing, Launch, find_engine
from proxy.llama_server.lease import Lease
from proxy.llama_server.life import State
from proxy.llama_server.logs import Facts
from proxy.llama_server.model import Model, Wishes
from proxy.llama_server.readiness import Address
from proxy.llama_server.supervisor import Supervisor
from proxy.llama_server.timings import Timings

__all__ = [
    "Address",
    "Catalogue",
    "ConfigurationError",
    "EngineMissing",
    "Facts",
    "Keeper",
    "Launch",
    "Lease",
    "Model",
    "State",
    "Supervisor",
    "Timings",
    "Wishes",
    "find_engine",
    "make_catalogue",
    "read_configuration",
]
