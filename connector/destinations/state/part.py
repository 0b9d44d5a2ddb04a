"""The state as one of several targets of a table sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from connector.core.spec import TableSpec
from connector.core.state import Column, Drift
from connector.destinations.state.header import Header
from connector.destinations.state.store import State
from connector.destinations.state.tables import Schema

_OF_TARGETS = ("overflowed", "target_schema", "target_name")


class PartState(State):
    """The state of a table, with the name and the columns of one of its targets."""

    def __init__(self, schema: Schema, table: str, target: str) -> None:
        super().__init__(schema)
        self._table, self._target = table, target

    def header(self, table: str) -> Header | None:
        """The row of the table, as if the target were its only one."""
        header = super().header(table)
        row = self.parts.of(table).get(self._target) if header else None
        if header is None or row is None:
            return None
        return msgspec.structs.replace(header, **{name: row[name] for name in _OF_TARGETS})

    def all_columns(self, table: str) -> tuple[dict[str, Column], dict[str, Column]]:
        """The columns of the target in use, and the retired ones."""
        return self.parts.columns(table, self._target)

    def save_columns(
        self,
        table: str,
        columns: Mapping[str, Column],
        retired: Mapping[str, Column] | None = None,
    ) -> None:
        """Replaces the map from attributes to columns; retired ones stay unless they are given."""
        retired = self.retired(table) if retired is None else retired
        self.parts.save_columns(table, self._target, columns, retired)

    def update(self, table: str, **changes: Any) -> None:
        """Changes columns of the table's row, or of the target's."""
        mine = {name: value for name, value in changes.items() if name in _OF_TARGETS}
        if mine:
            self.parts.update(table, self._target, **mine)
        if others := {name: value for name, value in changes.items() if name not in mine}:
            super().update(table, **others)

    def drifted(self, table: str, commit: int, found: Sequence[Drift], now: datetime) -> None:
        """Records how the target's columns have changed."""
        self.journal.drift(table, commit, found, now, self._target)


@dataclass(frozen=True)
class Part:
    """A table that holds rows of a source table: its only one, or one of several targets."""

    name: str
    state: State
    header: Header
    place: int | None
    """Where routes call it; None if it is the only one, or rows only leave it."""
    leaving: bool = False
    """Whether rows only leave it: earlier routes led to it, and those of now do not."""


def parts_of(schema: Schema, state: State, header: Header) -> list[Part]:
    """Every table that holds rows of a source table; those that rows only leave come last."""
    table, routes = header.table_name, (header.made_with() or TableSpec()).routes
    if not header.routed:
        return [Part(header.target_name, state, header, None)]
    found = [] if routes else [Part(header.target_name, state, header, None)]
    places = {name: place for place, name in enumerate(routes.targets)}
    for name, row in state.parts.of(table).items():
        own = PartState(schema, table, name)
        changes = {each: row[each] for each in _OF_TARGETS}
        mine = msgspec.structs.replace(header, **changes)
        leaving = bool(row["retired"])
        found.append(Part(name, own, mine, None if leaving else places.get(name), leaving))
    return found
