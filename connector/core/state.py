"""What a destination stores about one table."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from connector.core.cursors import EARLIER, GAP, MOVED, ORIGIN, SEGMENT, SHARD, Cursor
from connector.core.keys import KeySchema
from connector.core.schema import Type
from connector.core.spec import TableSpec

STATE_VERSION = 6


class Phase(StrEnum):
    """Loading: planned, but the scan is not loaded yet. Tailing: only the stream changes it."""

    LOADING = "loading"
    TAILING = "tailing"


@dataclass(frozen=True)
class Identity:
    """What must not change within a generation; `table_id` is empty if the source has none."""

    table_arn: str
    table_id: str
    stream_arn: str
    view_type: str
    keys: KeySchema
    region: str = ""
    """The Region it is read in; empty where an earlier version planned it."""


@dataclass(frozen=True)
class Column:
    """The column of one attribute in the destination's table."""

    name: str
    type: Type


def renamed(columns: Mapping[str, Column], before: Mapping[str, Column]) -> dict[str, str]:
    """Columns that are new since `before` and not named after their attribute."""
    return {
        attribute: column.name
        for attribute, column in columns.items()
        if column.name != attribute
        and (attribute not in before or before[attribute].name != column.name)
    }


@dataclass(frozen=True)
class Plan:
    """A new generation: its identity and every partition to read, fixed before any is read."""

    table: str
    target: str
    identity: Identity
    plan_id: str
    segments: int
    planned_at: datetime
    """By the source's clock."""
    cursors: Mapping[str, Cursor]
    replaces: str | None
    """The plan id of the generation that this one replaces; None for the first."""
    spec: TableSpec = field(default_factory=TableSpec)
    retention: timedelta | None = None
    """How long the source keeps changes, if that varies."""
    after_gap: bool = False
    """Whether changes were lost since the generation that it replaces."""
    moved: Cursor | None = None
    """Where it replaces one of another Region, a cursor seen when that was last read."""

    @property
    def row_keys(self) -> KeySchema:
        """The key attributes as rows have them."""
        return self.spec.rules.row_keys(self.identity.keys)


@dataclass(frozen=True)
class Mend:
    """Shards to go on from instead of all others, after changes of those were lost."""

    table: str
    identity: Identity
    """The source as it is now: its stream may be another one."""
    replaces: str
    """The plan id that it begins from."""
    plan_id: str
    cursors: Mapping[str, Cursor]


@dataclass(frozen=True)
class TableState:
    """One table's state, read in one transaction."""

    table: str
    target: str
    identity: Identity
    generation: int
    plan_id: str
    phase: Phase
    segments: int
    start_commit: int
    commit: int
    cursors: Mapping[str, Cursor]
    columns: Mapping[str, Column]
    planned_at: datetime
    scanned_until: datetime | None = None
    loaded_at: datetime | None = None
    consistent_since: datetime | None = None
    committed_at: datetime | None = None
    quarantined: int = 0
    drift: int = 0
    """How often a column was added or widened since the first load."""
    problem: str | None = None
    """Why the table needs a person, if the last run ended that way."""
    spec: TableSpec | None = None
    """The spec of the generation; version 0.1.0 did not store it."""
    target_schema: str = ""
    retention: timedelta | None = None
    """How long the source keeps changes, if it varies and was seen."""
    parts: Mapping[str, Mapping[str, Column]] = field(default_factory=dict)
    """The columns of each target, if routes lead to several; then the table itself has none."""

    @property
    def into(self) -> str:
        """The names of all targets."""
        return ", ".join(self.parts) or self.target

    @property
    def shards(self) -> dict[str, Cursor]:
        """Cursors of the stream's shards, by shard id."""
        return _of(SHARD, self.cursors)

    @property
    def scanned(self) -> dict[str, Cursor]:
        """Cursors of the scan's segments, by segment name."""
        return _of(SEGMENT, self.cursors)

    @property
    def origin(self) -> str | None:
        """What all rows are read from, where that is not the table itself."""
        return next(iter(_of(ORIGIN, self.cursors)), None)

    @property
    def earlier(self) -> dict[str, Cursor]:
        """Up to where earlier generations have read each shard, by shard id."""
        return _of(EARLIER, self.cursors)

    @property
    def after_gap(self) -> bool:
        """Whether changes were lost before this generation was planned."""
        return GAP in self.cursors

    @property
    def moved(self) -> Cursor | None:
        """Where the table goes on in another Region, a cursor seen when the last one was read."""
        return self.cursors.get(MOVED)


class Scannable(Protocol):
    """What a scan must know about a plan; both `TableState` and `ScanPlan` have it."""

    @property
    def table(self) -> str: ...

    @property
    def identity(self) -> Identity: ...

    @property
    def plan_id(self) -> str: ...

    @property
    def segments(self) -> int: ...

    @property
    def spec(self) -> TableSpec | None: ...

    @property
    def columns(self) -> Mapping[str, Column]: ...

    @property
    def parts(self) -> Mapping[str, Mapping[str, Column]]: ...

    @property
    def origin(self) -> str | None: ...


@dataclass(frozen=True)
class ScanPlan:
    """The part of a plan that a scan needs, for a worker that has no access to the destination."""

    table: str
    identity: Identity
    plan_id: str
    segments: int
    spec: TableSpec | None
    columns: Mapping[str, Column] = field(default_factory=dict)
    origin: str | None = None
    parts: Mapping[str, Mapping[str, Column]] = field(default_factory=dict)


def _of(prefix: str, cursors: Mapping[str, Cursor]) -> dict[str, Cursor]:
    return {
        name.removeprefix(prefix): cursor
        for name, cursor in cursors.items()
        if name.startswith(prefix)
    }


@dataclass(frozen=True)
class Drift:
    """A column that was added or widened, with the database's names of its types."""

    column: str
    before: str | None
    """None if the column is new."""
    after: str
    key: str | None
    """The canonical key of an item that caused it, if one is known."""
    target: str = ""
    """The name of the target, if the table has several."""


@dataclass(frozen=True)
class Committed:
    """What one commit did to the table."""

    commit: int
    written: int
    deleted: int
    quarantined: int
    new_columns: int = 0
    """Columns that were added to the table; those it was created with are not counted."""
    streamed: int = 0
    """After a load: rows that the stream wrote since the plan and the load did not replace."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """New columns that are not named after their attribute."""
    drift: Sequence[Drift] = ()
    superseded: int = 0
    """Rows that were not written, since what is stored of their keys is newer."""
    misfits: Mapping[str, int] = field(default_factory=dict)
    """How many values did not fit what is declared of their column, by attribute."""

    @property
    def widened_columns(self) -> int:
        """The number of columns that had to be widened."""
        return sum(each.before is not None for each in self.drift)


@dataclass(frozen=True)
class Ran:
    """What one run has committed to one table; `commits` includes its plan."""

    commits: int = 0
    written: int = 0
    deleted: int = 0
    quarantined: int = 0
    new_columns: int = 0
    widened_columns: int = 0


class Packed(Protocol):
    """The types of attributes that have no column of their own, read when they are asked for."""

    def __call__(
        self,
        known: Collection[str],
        room: int,
        of: Callable[[Mapping[str, Type]], Mapping[str, Type]] | None = None,
    ) -> Mapping[str, Type]:
        """Those of the known attributes and of `room` others, of what `of` chooses of all."""


@dataclass(frozen=True)
class Load:
    """The end of a generation's scan: every spooled row, in one transaction."""

    table: str
    generation: int
    plan_id: str
    schema: Mapping[str, Type]
    partitions: Sequence[str]
    scanned_until: datetime
    max_deleted: float | None = None
    """The share of the earlier generation's rows that may vanish; None allows any."""
    recent: datetime | None = None
    """A row, or a deletion, that is as new as this is newer than the scan; None if none can be."""
    packed: "Packed" = lambda known, room, of=None: {}
    """The types of attributes in `rest`: of the known attributes and of `room` others."""
    by_time: bool = False
    """Whether later changes are merged by time, so that tombstones are still needed."""
