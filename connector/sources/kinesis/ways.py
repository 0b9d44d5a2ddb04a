"""Kinesis as a way to follow a table."""

from connector.ports import Changes, Lookup
from connector.sources.kinesis.shards import SHORTEST, retention_of
from connector.sources.way import FollowerKind, Opening


def _open(opening: Opening) -> tuple[Lookup, Changes | None]:
    from connector.sources.kinesis.source import KinesisSource

    arn = opening.config.tables[opening.table].kinesis
    assert arn is not None
    source = KinesisSource(opening.dynamodb, arn)
    return source, source


KINESIS = FollowerKind("kinesis", streamed=False, retention=retention_of(SHORTEST), open=_open)
