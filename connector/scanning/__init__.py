"""The threads and processes in which segments are scanned."""
