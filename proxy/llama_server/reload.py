"""Helpers for applying a new configuration to running models."""

from proxy.errors import ModelNotFound
from proxy.llama_server.config.model_config import ModelConfig


def removed_error(name: str) -> ModelNotFound:
    return ModelNotFound(f"model {name!r} was removed from the configuration", param="model")


def process_identity(model: ModelConfig | None) -> object:
    """Return the part of a model's configuration that requires a new process when it changes."""
    return (model.launch, model.require_gpu) if model else None
