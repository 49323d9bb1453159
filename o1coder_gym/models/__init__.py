"""Models by name: where weights come from, how they are loaded, trained and saved."""

from o1coder_gym.models.lookup import (
    BUNDLED_MODELS,
    DEFAULT_MODEL,
    KNOWN_MODELS,
    BundledModel,
    KnownModel,
    cache_folder,
    count_parameters,
    find_model,
    model_path,
    parameter_count,
)

__all__ = [
    "BUNDLED_MODELS",
    "DEFAULT_MODEL",
    "KNOWN_MODELS",
    "BundledModel",
    "KnownModel",
    "cache_folder",
    "count_parameters",
    "find_model",
    "model_path",
    "parameter_count",
]
