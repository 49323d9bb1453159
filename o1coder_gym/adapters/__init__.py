"""Doors to other frameworks, one file each, imported where they are used; docs/doors.md shows all of them."""
