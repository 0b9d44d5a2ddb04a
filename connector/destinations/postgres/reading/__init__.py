"""What is read of a Postgres database: rows, and the answers to queries."""
