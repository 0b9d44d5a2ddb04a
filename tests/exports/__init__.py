"""Exports to S3: read whole, refused where they are not, and loaded like a scan."""
