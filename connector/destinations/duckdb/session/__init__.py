"""A session with a DuckDB file: turns among tables, the connection, and its errors."""
