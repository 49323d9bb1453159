"""What the commands do, for use from Python: benchmarks, synthesis, training runs, self-play."""
