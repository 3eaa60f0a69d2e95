"""The child: the llama-server that we start, look after and end ourselves."""

from proxy.llama_server.config.catalog import Catalogue
from proxy.llama_server.config.catalog import make as make_catalogue
from proxy.llama_server.config.ini import ConfigurationError
from proxy.llama_server.config.ini import read as read_configuration
from proxy.llama_server.config.model_config import Model, Wishes
from proxy.llama_server.launch import Address, EngineMissing, Launch, find_engine
from proxy.llama_server.lease import Lease
from proxy.llama_server.pool import Keeper
from proxy.llama_server.process.logs import Facts
from proxy.llama_server.process.state import State
from proxy.llama_server.process.supervisor import Supervisor
from proxy.llama_server.process.timeouts import Timings

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
