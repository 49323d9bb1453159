"""Training of process reward models: all weights, LoRA, or the head alone."""
