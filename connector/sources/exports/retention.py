"""How long changes of a table can be exported."""

from datetime import timedelta

from connector.core.changes.shards import Retention

LONGEST = Retention(
    lasts=timedelta(days=35),
    overlap=timedelta(minutes=15),
    margin=timedelta(minutes=20),
    remembered=timedelta(hours=48),
)
"""Point-in-time recovery keeps a table's changes for 1 to 35 days."""
