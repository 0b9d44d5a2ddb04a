"""DynamoDB's own ways in: a Scan of the table, and its stream or nothing after that."""

from connector.sources.dynamodb.retention import RETENTION
from connector.sources.way import FollowerKind, SnapshotKind

SCAN = SnapshotKind("scan", open=lambda opening: opening.dynamodb)

STREAM = FollowerKind(
    "stream",
    streamed=True,
    retention=RETENTION,
    open=lambda opening: (opening.dynamodb, opening.dynamodb),
)

NONE = FollowerKind(
    "none", streamed=False, retention=None, open=lambda opening: (opening.dynamodb, None)
)
