"""A commit, and a load, of one table: what every database does the same way."""
