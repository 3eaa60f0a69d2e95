"""The child: the llama-server that we start, look after and end ourselves."""

from proxy.llama_server.launch import EngineMissing, Launch, find_engine
from proxy.llama_server.life import State
from proxy.llama_server.logs import Facts
from proxy.llama_server.readiness import Address
from proxy.llama_server.supervisor import Supervisor, Timings

__all__ = ["Address", "EngineMissing", "Facts", "Launch", "State", "Supervisor", "Timings", "find_engine"]
