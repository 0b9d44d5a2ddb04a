"""Logging in to AWS, by every way that botocore knows."""
