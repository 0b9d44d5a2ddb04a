"""The state of each table, kept in the destination's own transactions."""
