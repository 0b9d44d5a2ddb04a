"""One table's row of the state, validated when it is read."""

from datetime import datetime, timedelta

import msgspec

from connector.core.keys import KeyAttribute, KeySchema
from connector.core.spec import TableSpec
from connector.core.state import Identity, Phase
from connector.destinations.sql import Target
from connector.destinations.state.tables import SCHEMA
from connector.errors import StateRefused

_spec = msgspec.json.Decoder(TableSpec)
_keys = msgspec.json.Decoder(list[tuple[str, str]])


class Header(msgspec.Struct, frozen=True):
    """One row of `tables`. Creating one raises MsgspecError if its keys are damaged."""

    table_name: str
    target_schema: str
    target_name: str
    table_arn: str
    table_id: str
    stream_arn: str
    view_type: str
    keys: str
    generation: int
    plan_id: str
    phase: Phase
    segments: int
    start_commit: int
    commit: int
    state_version: int
    planned_at: datetime
    scanned_until: datetime | None = None
    loaded_at: datetime | None = None
    consistent_since: datetime | None = None
    committed_at: datetime | None = None
    problem: str | None = None
    spec: str | None = None
    overflowed: bool | None = None
    region: str | None = None
    retention: int | None = None
    routed: bool | None = None
    """Whether it has, or had, several targets."""
    database: str = ""
    """The target's database; not a column of the state."""

    def __post_init__(self) -> None:
        _keys.decode(self.keys)
        self.made_with()

    @property
    def target(self) -> Target:
        """The table that holds the rows."""
        return Target(self.target_schema, self.target_name, self.database)

    def made_with(self) -> TableSpec | None:
        """The generation's spec; None if version 0.1.0 planned it."""
        return None if self.spec is None else _spec.decode(self.spec)

    @property
    def row_keys(self) -> KeySchema:
        """The key attributes as rows have them."""
        return (self.made_with() or TableSpec()).rules.row_keys(self.identity.keys)

    @property
    def lasts(self) -> timedelta | None:
        """How long the source keeps changes, if that varies."""
        return None if self.retention is None else timedelta(seconds=self.retention)

    @property
    def identity(self) -> Identity:
        """The source that the generation was planned for."""
        keys = tuple(KeyAttribute(name, tag) for name, tag in _keys.decode(self.keys))
        return Identity(
            self.table_arn,
            self.table_id,
            self.stream_arn,
            self.view_type,
            keys,
            self.region or "",
        )


def spelled(spec: TableSpec) -> str:
    """A spec in the format of `Header.spec`."""
    return msgspec.json.encode(spec).decode()


def whole_seconds(lasts: timedelta) -> int:
    """A retention in the format of `Header.retention`."""
    return round(lasts.total_seconds())


def unreadable(why: str) -> StateRefused:
    """The error for a state that was damaged."""
    return StateRefused(
        f"The schema {SCHEMA} holds no readable state: {why}.",
        "Restore it from a backup, or reset the table and take a new snapshot.",
    )
