"""Who answers: how to ask each kind of server, and what is odd about its reply. One file each, one line here."""

from proxy.backends.base import Backend
from proxy.backends.generic import Generic
from proxy.backends.llama_cpp import LlamaCpp

KINDS: tuple[type[Backend], ...] = (LlamaCpp, Generic)  # in the order in which they are tried; the last one takes all
