"""Row formats of the data sets that this field uses, a converter each (docs/data_formats.md)."""
