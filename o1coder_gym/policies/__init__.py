"""Policies: what samples reasoning steps."""
