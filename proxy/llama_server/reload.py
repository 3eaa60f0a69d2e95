"""What a new configuration changes for the models that are loaded."""

from proxy.errors import ModelNotFound
from proxy.llama_server.config.model_config import ModelConfig


def removed_error(name: str) -> ModelNotFound:
    return ModelNotFound(f"the model {name!r} was taken out of the configuration", param="model")


def process_identity(model: ModelConfig | None) -> object:
    """What makes another process: names and times can change while it runs."""
    return (model.launch, model.require_gpu) if model else None
