"""Commands for a table that something has happened to."""
