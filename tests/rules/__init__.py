"""What a table's rules make of its items."""
