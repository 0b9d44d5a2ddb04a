"""What the section of a table holds that has keys of its own."""
