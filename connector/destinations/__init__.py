"""Warehouses that hold the tables, and in the same transactions the state of reading them."""
