"""Sources of models: pinned weight files, their conversion, adapters of this package."""
