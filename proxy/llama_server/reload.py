"""Comparison of the loaded models with a new configuration."""

from proxy.errors import ModelNotFound
from proxy.llama_server.config.model_config import ModelConfig


def removed_error(name: str) -> ModelNotFound:
    return ModelNotFound(f"model {name!r} was removed from the configuration", param="model")


def process_identity(model: ModelConfig | None) -> object:
    """Return what requires a new process if it changes; names and timeouts can change while it
    runs.
    """
    return (model.launch, model.require_gpu) if model else None
