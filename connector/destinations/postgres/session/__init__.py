"""A session with a Postgres server: its transaction, and its errors."""
