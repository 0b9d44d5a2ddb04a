"""Scanned rows on their way to the destination."""
