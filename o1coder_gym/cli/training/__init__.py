"""Commands that train: policies, process reward models, test generators, self-play."""
