"""How an agent meets an environment: it writes a step, or chooses one of K."""
