"""The sources of tables, in one folder per kind."""
