"""o1coder-gym: code reasoning as a Markov decision process, after O1-CODER (arXiv 2412.00154).

Importing it registers the environments `O1Coder/*-v0` with Gymnasium: now where Gymnasium is imported
already, else as soon as it is. It pulls in no torch, and without Gymnasium no numpy.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

from o1coder_gym.importing import moved, registering

if TYPE_CHECKING:
    from o1coder_gym import envs

moved.install()
registering.install()


def __getattr__(name: str) -> Any:
    """Imports `envs` when it is asked for: the command line's help needs neither it nor Gymnasium."""
    if name != "envs":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return importlib.import_module("o1coder_gym.envs")


__all__ = ["__version__", "envs"]
