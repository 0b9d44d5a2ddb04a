"""What a way in to a table is: a kind of snapshot or of follower as a record, and what it opens."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from connector.config.model import Config
from connector.core.changes.filler import Filler
from connector.core.changes.shards import Retention
from connector.core.needs import Need
from connector.core.state import Identity, Scannable, TableState
from connector.ports import Changes, Lookup, Snapshot
from connector.waits import Waits

if TYPE_CHECKING:
    from connector.sources.dynamodb.calls import Spending
    from connector.sources.dynamodb.client import Clients
    from connector.sources.dynamodb.source import DynamoDBSource


@dataclass(frozen=True)
class Opening:
    """What every way in to a table is opened with."""

    config: Config
    table: str
    streamed: bool = True
    """Whether the table must have a stream, which is then a part of its identity."""
    sleep: Callable[[float], None] = time.sleep
    clients: "Clients | None" = None
    """Without them, a source logs in for itself."""
    spending: "Spending | None" = None
    waits: Waits | None = None
    workers: int = 1
    """Among how many the configured read units are shared out."""
    plan: Scannable | None = None
    """What is read by a plan that was made before."""
    export: str | None = None
    """The url of the export to read, where a certain one was asked for."""

    @cached_property
    def dynamodb(self) -> "DynamoDBSource":
        """The table itself, opened once for all that read it."""
        from connector.sources.dynamodb.source import DynamoDBSource

        units = self.config.source.max_read_units
        return DynamoDBSource(
            self.config.source,
            self.table,
            readers=self.config.tail.readers,
            max_read_units=units / self.workers if units else None,
            sleep=self.sleep,
            clients=self.clients,
            spending=self.spending,
            waits=self.waits,
            streamed=self.streamed,
        )


@dataclass(frozen=True)
class SnapshotKind:
    """A way to read a whole table. What is slow to import is imported by `open` alone."""

    kind: str
    """As the configuration says it."""
    open: Callable[[Opening], Snapshot]
    scans: bool = True
    """Whether it reads the table itself."""
    trial: Callable[[Opening, Identity], str] | None = None
    """Tries what it needs elsewhere, and says what is there; None if it needs nothing."""


@dataclass(frozen=True)
class FollowerKind:
    """A way to follow a table's changes, or not to. `open` alone imports what is slow to import."""

    kind: str
    """As the configuration says it."""
    streamed: bool
    """Whether it reads the table's own stream, which then must be there."""
    retention: Retention | None
    """How long changes can be read; None if there are none to read."""
    open: Callable[[Opening], tuple[Lookup, Changes | None]]
    """The table itself, with what it is followed by in its identity, and its changes."""
    trial: Callable[[Opening, Identity], Iterable[Need]] | None = None
    """Tries what it needs apart from the table and its own stream; None if it needs nothing."""
    retention_by: Callable[[TableState], Retention] | None = None
    """How long changes of a table can be read, where that differs from table to table."""

    def retention_of(self, state: TableState | None) -> Retention | None:
        """How long changes can be read, as far as a table's state says it."""
        if state is None or self.retention_by is None:
            return self.retention
        return self.retention_by(state)


@dataclass(frozen=True)
class WayIn:
    """A table as it is read: what it is, all its items, and its changes where they are followed."""

    lookup: Lookup
    snapshot: Snapshot
    pages: Snapshot
    """All items of the table itself, whatever the snapshot is of."""
    changes: Changes | None
    filler: Filler | None = None
    """What its changes no longer have, from elsewhere."""
