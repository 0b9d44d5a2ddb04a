"""What is remembered of each table, in the destination's own transactions."""
