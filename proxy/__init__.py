"""llama-bridge: a proxy that gives every model server the same OpenAI API.

Public names: `create_app` returns the ASGI application; `parse` and `Parser` extract tool calls and
reasoning from the text of a model.
"""

from proxy.app import create_app
from proxy.dialects import Parser, parse

__version__ = "0.1.0"
__all__ = ["Parser", "__version__", "create_app", "parse"]
