"""What becomes of a table's attributes before any of them is stored anywhere."""
