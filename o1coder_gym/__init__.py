"""o1coder-gym: code reasoning as a Markov decision process, after O1-CODER (arXiv 2412.00154)."""

__version__ = "0.1.0"
