"""The data files of an export: decompressed, counted, and taken apart into items."""
