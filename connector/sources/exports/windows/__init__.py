"""Incremental exports: windows of time, one after the other, as changes of their table."""
