"""Judges for many callers: one request queue over the workers of a process, or of several processes."""
