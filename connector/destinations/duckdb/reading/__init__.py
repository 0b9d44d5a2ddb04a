"""What is read of a DuckDB file: rows, and the answers to queries."""
