"""The url of a Postgres database, as people write it and as libpq gets it."""
