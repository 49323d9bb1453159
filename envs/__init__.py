"""Gymnasium environments over one pure reasoning model."""
