"""The threads and processes that scan segments."""
