"""A Postgres database as destination."""
