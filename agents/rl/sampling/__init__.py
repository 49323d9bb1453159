"""Samplers of a training's episodes: transformers, vLLM in this process, or servers."""
