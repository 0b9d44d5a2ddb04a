"""What a table's contract makes of its items."""
