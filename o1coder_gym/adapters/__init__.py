"""Adapters for other frameworks, one file each, imported where used; docs/doors.md shows them all."""
