"""Kinesis as a way to follow a table."""

from collections.abc import Iterable

from connector.core.needs import Need
from connector.core.state import Identity
from connector.ports import Changes, Lookup
from connector.sources.kinesis.shards import SHORTEST, retention_of
from connector.sources.way import FollowerKind, Opening


def _open(opening: Opening) -> tuple[Lookup, Changes | None]:
    from connector.sources.kinesis.source import KinesisSource

    arn = opening.config.tables[opening.table].kinesis
    assert arn is not None
    source = KinesisSource(opening.dynamodb, arn)
    return source, source


def _needs(opening: Opening, table: Identity) -> Iterable[Need]:
    from connector.sources.kinesis.needs import KinesisTrial

    return KinesisTrial(opening, table).needs()


KINESIS = FollowerKind(
    "kinesis",
    streamed=False,
    retention=retention_of(SHORTEST),
    open=_open,
    trial=_needs,
)
