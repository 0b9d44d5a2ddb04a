"""The demonstration: the whole life of a table, on this machine alone."""
