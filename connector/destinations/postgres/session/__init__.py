"""A session with a Postgres server: its url, its transaction, and what it raises."""
