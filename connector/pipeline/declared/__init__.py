"""What is declared of a table's columns, beside what they are."""
