"""Who samples the episodes of a training: transformers, vLLM in this process, or servers."""
