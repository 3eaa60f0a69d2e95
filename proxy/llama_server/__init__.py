"""The managed llama-server: configuration, processes, and which models are loaded."""

from proxy.llama_server.config.catalog import Catalog, make_catalog
from proxy.llama_server.config.ini import ConfigurationError
from proxy.llama_server.config.ini import read as read_configuration
from proxy.llama_server.config.model_config import CatalogSettings, ModelConfig
from proxy.llama_server.launch import EngineMissing, LaunchSpec, ProcessAddress, find_engine
from proxy.llama_server.lease import Lease
from proxy.llama_server.pool import ModelPool
from proxy.llama_server.process.logs import EngineInfo
from proxy.llama_server.process.state import ProcessState
from proxy.llama_server.process.supervisor import Supervisor
from proxy.llama_server.process.timeouts import Timeouts

__all__ = [
    "Catalog",
    "CatalogSettings",
    "ConfigurationError",
    "EngineInfo",
    "EngineMissing",
    "LaunchSpec",
    "Lease",
    "ModelConfig",
    "ModelPool",
    "ProcessAddress",
    "ProcessState",
    "Supervisor",
    "Timeouts",
    "find_engine",
    "make_catalog",
    "read_configuration",
]
