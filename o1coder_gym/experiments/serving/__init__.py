"""Agents behind OpenAI's HTTP interface; needs the extra `serve`."""
