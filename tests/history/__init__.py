"""What is kept beside a table: all versions and all changes."""
