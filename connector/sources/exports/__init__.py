"""Exports of a table to S3, there or copied to a folder: manifests, data files, and their items."""
