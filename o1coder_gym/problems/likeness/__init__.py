"""Finds one problem under several names, and assigns it one split."""
