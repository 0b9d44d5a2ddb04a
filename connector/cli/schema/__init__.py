"""Commands about what is declared of a table's columns."""
