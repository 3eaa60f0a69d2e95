"""llama-bridge: one clean OpenAI contract in front of any model server.

The public names: `create_app` makes the ASGI application, `parse` and `Parser` read what a model
wrote.
"""

from proxy.app import create_app
from proxy.dialects import Parser, parse

__version__ = "0.1.0"
__all__ = ["Parser", "__version__", "create_app", "parse"]
