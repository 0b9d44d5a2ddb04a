"""The interfaces that the pipeline needs: ways to read a source, a destination, and a spool."""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

import pyarrow as pa

from connector.core.changes.change import ChangePage
from connector.core.changes.shards import Listing, Retention, Shard
from connector.core.contracts.found import FoundTable
from connector.core.cursors import Batch, Cursor, Quarantined
from connector.core.needs import Need, Wanted
from connector.core.publishing import Copies
from connector.core.schema import Type
from connector.core.spec import TableSpec
from connector.core.state import Committed, Identity, Load, Mend, Plan, Ran, TableState
from connector.errors import ConnectorError

IN_STEP = ("ACTIVE", "UPDATING")
"""The statuses of a replica that receives what other Regions write."""


@dataclass(frozen=True)
class GlobalTable:
    """What a replica says of the global table that it belongs to."""

    replicas: Mapping[str, str]
    """The status of the others, and perhaps its own, by their Region."""
    consistency: str = "EVENTUAL"
    """That is, the last writer wins; or `STRONG`."""
    witnesses: Sequence[str] = ()
    """Regions that take part in strong consistency and hold no table."""


@dataclass(frozen=True)
class Description:
    """The source table as it is now. Counts are about six hours old (DescribeTable)."""

    identity: Identity
    item_count: int
    size_bytes: int
    images: bool = True
    """Whether its changes have the items as they are after them; if not, they are looked up."""
    streaming: bool = True
    """Whether the stream is enabled; a disabled one can be read for another day."""
    status: str = "ACTIVE"
    """As AWS says it; a table that cannot be read has no description."""
    group: GlobalTable | None = None
    """The global table that it is a replica of."""
    refusal: ConnectorError | None = None
    """The error for a plan if it is not, where that is not a stream of DynamoDB."""


@dataclass(frozen=True)
class Past:
    """The time of a snapshot that was taken before it was planned."""

    at: datetime
    """What each of its rows counts as of."""
    since: datetime
    """It may lack changes from then on, and no older ones."""
    uncovered: Callable[[datetime, datetime], ConnectorError]
    """The error where changes can be read only since a later time; and what time it is now."""


@dataclass(frozen=True)
class Prepared:
    """What a snapshot is going to read."""

    origin: str | None = None
    """What names it for whoever reads a part of it; None where that is the table itself."""
    parts: int | None = None
    """Into how many segments it can be divided; None is any number."""
    past: Past | None = None
    """None where it reads what is there when it is asked."""
    check: Callable[[], None] | None = None
    """Reads all of it. Raises NeedsPerson where it is not what it should be."""


Decoded = TypeVar("Decoded")


class Lookup(Protocol):
    """The source table itself: its description, and its items by key."""

    def describe(self) -> Description:
        """Identity and size. Raises SourceRefused if the table cannot be replicated."""

    def confirm(self, planned: Identity) -> None:
        """Raises HistoryLost if the table, or its stream, is no longer the planned one."""

    def now(self) -> datetime:
        """The source's own time, so that a wrong clock here is no loss there."""

    def items(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Items by key, read consistently, in wire form; None for a missing item."""


class Snapshot(Protocol):
    """Every item of a table, in segments that can be read concurrently."""

    def prepare(self, table: Identity) -> Prepared:
        """What a plan of this table is to read. Raises NeedsPerson where that cannot be read."""

    def resume(self, origin: str | None) -> None:
        """Raises ConfigError where a plan of this origin reads another one than was asked for."""

    def page(
        self, segment: int, segments: int, since: str | None, decode: Callable[[bytes], Decoded]
    ) -> tuple[Decoded, datetime]:
        """The page after the token `since`, decoded, and when it was requested.

        A page for which `decode` raises BadAnswer is requested again.
        """


class Changes(Protocol):
    """The changes of a table, in shards that can be read concurrently."""

    @property
    def retention(self) -> Retention:
        """How long changes can be read."""

    def now(self) -> datetime:
        """The source's own time, so that a wrong clock here does not matter."""

    @property
    def images(self) -> bool:
        """Whether changes have the items as they are after them; if not, they are looked up."""

    @property
    def by_time(self) -> bool:
        """Whether nothing but the times of changes orders them."""

    def listing(self) -> Listing:
        """Every shard that is listed now."""

    def children(self, shard: str) -> list[Shard]:
        """The children of a shard that are listed so far."""

    @property
    def while_loading(self) -> bool:
        """Whether changes can be read before the snapshot is loaded."""

    def beginning(self, shard: Shard, planned_at: datetime, past: Past | None) -> Cursor:
        """The cursor of a shard that is read from a plan on, whose snapshot may be of the past."""

    def read(self, shard: Shard, since: Cursor) -> ChangePage:
        """The next page of a shard after the cursor's token; None is its beginning.

        Raises ShardGone if the shard no longer exists, and HistoryLost if changes after the cursor
        are certainly gone.
        """


class Destination(Protocol):
    """A warehouse that holds tables and, in the same transactions, the state of reading them."""

    copies: Copies | None
    """None if none are published."""

    def read(self, table: str) -> TableState | None:
        """The state of a table, or None if it was never planned.

        Raises StateRefused for a state of a newer version.
        """
        ...

    def plan(self, plan: Plan) -> TableState:
        """Starts a generation and stores all its cursors in one transaction.

        Raises CursorMoved if the generation it replaces is no longer the current one.
        """
        ...

    def reconfigure(self, table: str, target: str, spec: TableSpec) -> TableState:
        """Gives a table another name or another spec in one transaction, if its rows allow that.

        Raises ConfigError, and changes nothing, if only a full refresh can do it.
        """
        ...

    def commit(self, batch: Batch) -> Committed:
        """Merges rows and moves cursors in one transaction.

        Raises CursorMoved, and writes nothing, if a stored cursor is not its span's `since` or the
        generation is another one. Rows that say whether they are `settled` are merged by time:
        raises Tied, and writes nothing, if that does not order them and what is stored.
        """
        ...

    def release(self) -> None:
        """Closes the connection that the last commit kept open for the next one."""
        ...

    def load(
        self, load: Load, rows: Iterable[pa.Table], quarantined: Sequence[Quarantined]
    ) -> Committed:
        """Puts every spooled row in the table in one transaction and ends the loading phase.

        A spooled row never replaces a row or a tombstone of the stream. Rows of an earlier
        generation that are not among them are deleted; if these are more than `max_deleted`
        allows, raises TooManyDeletes and writes nothing.
        """
        ...

    def mend(self, mend: Mend) -> TableState:
        """Replaces all shards in one transaction. Raises CursorMoved if another plan is current."""
        ...

    def changed_since(
        self, table: str, since: datetime, until: datetime
    ) -> Generator[tuple[str, bool], None, None]:
        """The keys of live rows that changed after `since`, and whether that was by `until`."""

    def note(self, table: str, problem: str | None) -> None:
        """Stores why a table needs a person, or that it no longer does."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """Lets the reads of one thread share a connection; nothing is written in the block."""
        ...

    def rows(self, table: str) -> Generator[pa.RecordBatch, None, None]:
        """The table's rows, with columns `item.<attribute>` and `rest` as in `core.rows`.

        If there are several targets, the metadata of each batch says which one, as
        TARGET. A caller that does not read them to the end must close the generator, since the
        destination may stay open until then.
        """
        ...

    def described(
        self, table: str, declared: Mapping[str, Type], counted: Collection[str] | None = None
    ) -> list[FoundTable]:
        """The columns, beside types `declared` of them, and the values of those `counted`."""

    def undescribed(self, table: str) -> bool:
        """Whether a column has another comment than the description that the state has of it."""

    def count(self, table: str) -> int:
        """The number of rows in the table."""

    def counts(self, table: str) -> dict[str, int]:
        """The number of rows in each target of the table."""

    def query(self, sql: str) -> pa.Table:
        """The answer to a read-only query."""
        ...

    def reset(self, table: str, drop: bool) -> None:
        """Forgets the state of a table, and with `drop` the table itself."""
        ...

    def check(self, tables: Sequence[Wanted] = ()) -> Iterator[Need]:
        """Tries what every step does, also for each of `tables`, and changes nothing.

        An unmet need is among the results, and hides no other.
        """
        ...

    def tables(self) -> list[str]:
        """The source tables that have a state here."""

    def ran(self, table: str) -> Ran:
        """What was committed to a table through this object."""
        ...


class Spool(Protocol):
    """Scanned rows on their way to the destination, one chain of links for each segment."""

    def append(
        self,
        partition: str,
        since: str | None,
        until: Cursor,
        rows: pa.Table,
        quarantined: Sequence[Quarantined],
    ) -> None:
        """Adds the link that leads from the token `since` to `until`."""

    def position(self, partition: str) -> Cursor:
        """The end of a segment's chain."""

    def links(self, partition: str) -> Iterator["Link"]:
        """The links of a chain, from its beginning."""

    def drop(self) -> None:
        """Removes every link of this plan."""


class Link(Protocol):
    """One file of a chain."""

    @property
    def rows_schema(self) -> pa.Schema:
        """The schema of the rows, known without reading them."""

    def packed(self) -> Mapping[str, Type] | None:
        """The types of the attributes in the rows' `rest`, read now; None if they are unknown."""

    @property
    def until(self) -> Cursor:
        """Where the next link begins; `done` if there is none."""

    @property
    def count(self) -> int:
        """The number of rows, known without reading them."""

    @property
    def quarantined(self) -> Sequence[Quarantined]:
        """Items of this link that cannot be stored."""

    def rows(self) -> pa.Table:
        """The rows, read now."""
