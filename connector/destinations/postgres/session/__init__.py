"""A session with a Postgres server: its transaction, and what it raises."""
