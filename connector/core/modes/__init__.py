"""What is kept of a table's changes, as values: the newest row, every version, every record."""
