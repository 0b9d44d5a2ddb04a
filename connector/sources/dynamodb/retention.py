"""How long DynamoDB keeps the records of a stream."""

from datetime import timedelta

from connector.core.changes.shards import Retention

RETENTION = Retention(
    lasts=timedelta(hours=24),
    overlap=timedelta(minutes=15),
    margin=timedelta(minutes=20),
    remembered=timedelta(hours=48),
)
"""Stream records live for 24 hours, then may be trimmed at any moment (DynamoDB Streams guide)."""
