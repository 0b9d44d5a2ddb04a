"""What a table is declared to be: the types of its columns, and what becomes of other values."""
