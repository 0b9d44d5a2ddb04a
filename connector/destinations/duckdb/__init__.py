"""A DuckDB file as destination."""
