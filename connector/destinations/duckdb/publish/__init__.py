"""A copy of a DuckDB file for its readers."""
