"""Runs untrusted programs and judges them."""
