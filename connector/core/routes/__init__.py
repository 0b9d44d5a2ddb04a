"""One source table in several targets: which item goes where, as values."""
