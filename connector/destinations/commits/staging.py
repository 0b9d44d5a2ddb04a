"""Rows as they are staged for SQL: which staged column goes to which column of the table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Raw

from connector.core.keys import KeySchema, key_text, stored_part
from connector.core.modes.history import OF_VERSIONS
from connector.core.modes.history import OP as OP_FIELD
from connector.core.names import CHANGED_AT, OP, REST
from connector.core.rows import CHANGED_AT as CHANGED_AT_FIELD
from connector.core.rows import (
    DELETED,
    MARKED,
    SETTLED,
    conform,
    has_misfits,
    packed_in,
    rest_field,
    schema_of,
    unpack,
    with_misfits,
)
from connector.core.rows import REST as REST_FIELD
from connector.core.schema import Kind, Type
from connector.core.state import Column
from connector.destinations.sql import Target, quoted
from connector.errors import StateRefused


@dataclass(frozen=True)
class Layout:
    """The target of each staged column, by position: names that differ only in case clash in Arrow.

    `staged` maps a staged column to a column of the table.
    """

    target: Target
    keys: KeySchema
    columns: Mapping[str, Column]
    attributes: tuple[str, ...]
    rest: bool
    marks: bool
    """Whether the table has `_deleted`."""
    retired: tuple[str, ...] = ()
    """Columns of the earlier generation that this one leaves empty."""
    history: bool = False
    """Whether the staged rows say how their versions began."""

    @classmethod
    def of(
        cls,
        target: Target,
        keys: KeySchema,
        columns: Mapping[str, Column],
        wanted: Mapping[str, Type],
        rest: bool,
        marks: bool,
        retired: Iterable[str] = (),
    ) -> Self:
        """A layout for rows with the attributes of `wanted` that have a column."""
        names = {key.name for key in keys}
        attributes = tuple(name for name in columns if name in wanted or name in names)
        return cls(target, keys, columns, attributes, rest, marks, tuple(retired))

    @property
    def staged(self) -> dict[str, str]:
        """Columns of the table by staged column, without `_commit`."""
        names = {
            f"c{position}": self.columns[attribute].name
            for position, attribute in enumerate(self.attributes)
        }
        names[CHANGED_AT_FIELD.name] = CHANGED_AT
        if self.history:
            names[OP_FIELD.name] = OP
        if self.rest:
            names[REST_FIELD] = REST
        return names

    @property
    def keys_staged(self) -> list[tuple[str, Column]]:
        """Each key's staged column, and its column in the table."""
        return [
            (f"c{self.attributes.index(key.name)}", self.columns[key.name]) for key in self.keys
        ]

    def stage(self, rows: pa.Table) -> pa.Table:
        """The rows in the table's own types, under their staged names."""
        service = [CHANGED_AT_FIELD, DELETED, MARKED]
        service += [SETTLED] if SETTLED.name in rows.column_names else []
        service += OF_VERSIONS if self.history else []
        service += [rest_field()] if self.rest else []
        types = {attribute: self.columns[attribute].type for attribute in self.attributes}
        conformed = conform(with_misfits(rows), types, service)
        names = [f"c{position}" for position in range(len(types))]
        return conformed.rename_columns([*names, *(field.name for field in service)])

    def placed(self, rows: pa.Table) -> pa.Table:
        """The rows, with attributes that have a column in the table moved out of their `rest`.

        Raises StateRefused if their types are unknown, because version 0.1.0 spooled them.
        """
        packed = packed_in(rows.schema)
        if packed is None:
            refuse_untyped(rows, self.columns)
        mine = {name: type_ for name, type_ in (packed or {}).items() if name in self.columns}
        return unpack(rows, mine) if mine else rows

    def overflows(self, rows: pa.Table) -> bool:
        """Whether the rows need a column `_rest`."""
        return self.leaves_over(rows) or has_misfits(rows)

    def leaves_over(self, rows: pa.Table) -> bool:
        """Whether an attribute of the rows has no column."""
        if REST_FIELD in rows.column_names and rows.column(REST_FIELD).null_count < len(rows):
            return True
        return any(
            name not in self.columns and type_.kind is not Kind.NULL
            for name, type_ in schema_of(rows.schema).items()
        )

    def same_key(self, left: str, right: str) -> str:
        """A condition that rows of two tables, both with the table's own columns, share a key."""
        names = [quoted(column.name) for _, column in self.keys_staged]
        return " AND ".join(f"{left}.{name} = {right}.{name}" for name in names)

    def key_of_staged(self, table: str, staged: str) -> str:
        """A condition that a row of the table and a staged row share a key."""
        return " AND ".join(
            f"{table}.{quoted(column.name)} = {staged}.{name}" for name, column in self.keys_staged
        )


def refuse_untyped(rows: pa.Table, columns: Mapping[str, Column]) -> None:
    """Raises StateRefused if a `rest` without types contains attributes that have a column."""
    for text in rows.column(REST_FIELD).cast(pa.string()).to_pylist():
        if text and not columns.keys().isdisjoint(msgspec.json.decode(text, type=dict[str, Raw])):
            raise StateRefused(
                "The scan in the spool was started by version 0.1.0, which stored an attribute in "
                "two places.",
                "Run `connector snapshot TABLE --full-refresh`.",
            )


def without_rest(rows: pa.Table) -> pa.Table:
    """The rows without their `rest`, which is empty."""
    return rows.drop_columns([REST_FIELD]) if REST_FIELD in rows.column_names else rows


def dated_keys(layout: Layout, staged: pa.Table) -> pa.Table:
    """The keys of staged rows, in the format of tombstones, and when they were made."""
    micros = staged.column(CHANGED_AT_FIELD.name).cast(pa.int64())
    return pa.table({"key": key_texts(layout, staged), "micros": micros})


def key_texts(layout: Layout, staged: pa.Table) -> pa.Array:
    """The keys of staged rows, in the format of tombstones."""
    parts = [
        [stored_part(column.type, value) for value in staged.column(name).to_pylist()]
        for name, column in layout.keys_staged
    ]
    return pa.array(map(key_text, zip(*parts, strict=True)), pa.string())


def count(staged: pa.Table, flag: pa.Field) -> int:
    """The number of staged rows with a flag."""
    return int(pc.sum(staged.column(flag.name)).as_py() or 0)
