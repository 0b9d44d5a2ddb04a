"""The whole life of a table, shown on this machine alone."""
