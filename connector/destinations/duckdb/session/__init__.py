"""A session with a DuckDB file: whose turn it is, its connection, and what it raises."""
