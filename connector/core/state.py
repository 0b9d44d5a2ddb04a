"""What a destination remembers of one table."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from connector.core.cursors import SEGMENT, SHARD, Cursor
from connector.core.keys import KeySchema
from connector.core.schema import Type
from connector.core.spec import TableSpec

STATE_VERSION = 3


class Phase(StrEnum):
    """Loading: planned, the scan is not in the table yet. Tailing: the stream alone moves it."""

    LOADING = "loading"
    TAILING = "tailing"


@dataclass(frozen=True)
class Identity:
    """What must not change inside a generation. `table_id` is empty where the source has none."""

    table_arn: str
    table_id: str
    stream_arn: str
    view_type: str
    keys: KeySchema


@dataclass(frozen=True)
class Column:
    """Where one attribute lives in the destination's table."""

    name: str
    type: Type


def renamed(columns: Mapping[str, Column], before: Mapping[str, Column]) -> dict[str, str]:
    """Columns that `before` did not have, and that have another name than their attribute."""
    return {
        attribute: column.name
        for attribute, column in columns.items()
        if column.name != attribute
        and (attribute not in before or before[attribute].name != column.name)
    }


@dataclass(frozen=True)
class Plan:
    """A new generation: its identity and every partition that must be read, before any is."""

    table: str
    target: str
    identity: Identity
    plan_id: str
    segments: int
    planned_at: datetime
    """In the source's own time."""
    cursors: Mapping[str, Cursor]
    replaces: str | None
    """The plan id of the generation this one follows; None for the first."""
    spec: TableSpec = field(default_factory=TableSpec)


@dataclass(frozen=True)
class TableState:
    """One table's state, read in one go."""

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
    """Why a person is needed, where the last run ended so."""
    spec: TableSpec | None = None
    """What the generation was made with; version 0.1.0 did not remember it."""
    target_schema: str = ""

    @property
    def shards(self) -> dict[str, Cursor]:
        """Cursors of the stream's shards, by shard id."""
        return _of(SHARD, self.cursors)

    @property
    def scanned(self) -> dict[str, Cursor]:
        """Cursors of the scan's segments, by the segment's name."""
        return _of(SEGMENT, self.cursors)


class Scannable(Protocol):
    """What a scan must know of a plan; a `TableState` is one, and so is a `ScanPlan`."""

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


@dataclass(frozen=True)
class ScanPlan:
    """A plan as far as a scan needs it, for a worker that cannot ask the destination."""

    table: str
    identity: Identity
    plan_id: str
    segments: int
    spec: TableSpec | None
    columns: Mapping[str, Column] = field(default_factory=dict)


def _of(prefix: str, cursors: Mapping[str, Cursor]) -> dict[str, Cursor]:
    return {
        name.removeprefix(prefix): cursor
        for name, cursor in cursors.items()
        if name.startswith(prefix)
    }


@dataclass(frozen=True)
class Drift:
    """A column that is new or wider, with its types in the database's own words."""

    column: str
    before: str | None
    """None where the column is new."""
    after: str
    key: str | None
    """The canonical key of an item that it is due to, if one is known."""


@dataclass(frozen=True)
class Committed:
    """What one commit did to the table."""

    commit: int
    written: int
    deleted: int
    quarantined: int
    new_columns: int = 0
    """Columns that the table did not have before; those it was made with are not counted."""
    streamed: int = 0
    """After a load, rows that the stream has written since the plan, and which it left alone."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """New columns that have another name than their attribute."""
    drift: Sequence[Drift] = ()

    @property
    def widened_columns(self) -> int:
        """Columns that could not hold their values as they were."""
        return sum(each.before is not None for each in self.drift)


@dataclass(frozen=True)
class Ran:
    """What one run has committed of one table. `commits` counts its plan as well."""

    commits: int = 0
    written: int = 0
    deleted: int = 0
    quarantined: int = 0
    new_columns: int = 0
    widened_columns: int = 0


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
    """The share of the earlier generation's rows that may vanish; None is any."""
    packed: Callable[[Collection[str], int], Mapping[str, Type]] = lambda known, room: {}
    """The types of what rows keep in `rest`: of the known attributes and of `room` others."""
