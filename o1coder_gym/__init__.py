"""o1coder-gym: code reasoning as a Markov decision process, after O1-CODER (arXiv 2412.00154).

Importing it registers the environments `O1Coder/*-v0` with Gymnasium and pulls in no torch.
"""

__version__ = "0.1.0"

from o1coder_gym import envs, moved

moved.install()

__all__ = ["__version__", "envs"]
