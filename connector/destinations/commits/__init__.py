"""Commits and loads of one table, as every database does them."""
