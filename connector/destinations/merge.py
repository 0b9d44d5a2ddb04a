"""Rows staged for SQL, and the statements that bring them into a DuckDB table."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connector.core.keys import KeySchema, key_text
from connector.core.names import CHANGED_AT, COMMIT, REST
from connector.core.names import DELETED as MARK
from connector.core.numbers import canonical_decimal
from connector.core.rows import CHANGED_AT as CHANGED_AT_FIELD
from connector.core.rows import DELETED, KEPT, conform, rest_field, schema_of
from connector.core.rows import REST as REST_FIELD
from connector.core.schema import Kind, Type
from connector.core.state import Column
from connector.destinations.sql import STAGED as STAGED
from connector.destinations.sql import Target, canonical_digits, quoted

STAGED_KEYS = "_connector_staged_keys"


@dataclass(frozen=True)
class Layout:
    """Where the staged columns go: by position, for names that differ only in case clash in Arrow.

    `staged` maps a staged column to a column of the table.
    """

    target: Target
    keys: KeySchema
    columns: Mapping[str, Column]
    attributes: tuple[str, ...]
    rest: bool
    marks: bool
    """Whether the table has `_deleted`."""

    @classmethod
    def of(
        cls,
        target: Target,
        keys: KeySchema,
        columns: Mapping[str, Column],
        wanted: Mapping[str, Type],
        rest: bool,
        marks: bool,
    ) -> "Layout":
        """A layout for rows with the attributes of `wanted` that have a column."""
        names = {key.name for key in keys}
        attributes = tuple(name for name in columns if name in wanted or name in names)
        return cls(target, keys, columns, attributes, rest, marks)

    @property
    def staged(self) -> dict[str, str]:
        """Columns of the table by staged column, without `_commit`."""
        names = {
            f"c{position}": self.columns[attribute].name
            for position, attribute in enumerate(self.attributes)
        }
        names[CHANGED_AT_FIELD.name] = CHANGED_AT
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
        service = [CHANGED_AT_FIELD, DELETED, KEPT, *([rest_field()] if self.rest else [])]
        types = {attribute: self.columns[attribute].type for attribute in self.attributes}
        conformed = conform(rows, types, service)
        names = [f"c{position}" for position in range(len(types))]
        return conformed.rename_columns([*names, *(field.name for field in service)])

    def same_key(self, left: str, right: str) -> str:
        """A condition that two tables, both of them with the table's own columns, share a key."""
        names = [quoted(column.name) for _, column in self.keys_staged]
        return " AND ".join(f"{left}.{name} = {right}.{name}" for name in names)

    def key_of_staged(self, table: str, staged: str) -> str:
        """A condition that a row of the table and a staged row share a key."""
        return " AND ".join(
            f"{table}.{quoted(column.name)} = {staged}.{name}" for name, column in self.keys_staged
        )


def overflows(rows: pa.Table, columns: Mapping[str, Column]) -> bool:
    """Whether the rows have something that only `_rest` can hold."""
    if REST_FIELD in rows.column_names and rows.column(REST_FIELD).null_count < len(rows):
        return True
    return any(
        name not in columns and type_.kind is not Kind.NULL
        for name, type_ in schema_of(rows.schema).items()
    )


def without_rest(rows: pa.Table) -> pa.Table:
    """The rows without a `rest` that holds nothing."""
    return rows.drop_columns([REST_FIELD]) if REST_FIELD in rows.column_names else rows


def merge_sql(layout: Layout) -> str:
    """Replaces, adds, deletes and marks the staged rows; `$1` is the commit's number.

    The whole item is replaced: a column that the staged rows lack becomes NULL. A row that is only
    marked as deleted keeps its values; one that was never seen is added with its key alone.
    """
    staged = layout.staged
    values = {quoted(column): f"s.{name}" for name, column in staged.items()}
    values[quoted(COMMIT)] = "$1"
    mark = ""
    if layout.marks:
        values[quoted(MARK)] = f"s.{KEPT.name}"
        marked = [f"{n} = {values[n]}" for n in map(quoted, (CHANGED_AT, COMMIT, MARK))]
        mark = f"WHEN MATCHED AND s.{KEPT.name} THEN UPDATE SET {', '.join(marked)} "
    keys = {quoted(column.name) for _, column in layout.keys_staged}
    missing = [c.name for c in layout.columns.values() if c.name not in staged.values()]
    changes = values | {quoted(name): "NULL" for name in missing}
    sets = ", ".join(f"{name} = {value}" for name, value in changes.items() if name not in keys)
    return (
        f"MERGE INTO {layout.target.sql} AS t USING {STAGED} AS s "
        f"ON {layout.key_of_staged('t', 's')} "
        f"WHEN MATCHED AND s.{DELETED.name} THEN DELETE {mark}"
        f"WHEN MATCHED THEN UPDATE SET {sets} "
        f"WHEN NOT MATCHED AND NOT s.{DELETED.name} "
        f"THEN INSERT ({', '.join(values)}) VALUES ({', '.join(values.values())})"
    )


def insert_sql(layout: Layout, kept: str = "") -> str:
    """Adds the staged rows for which the condition `kept` holds; `$1` is the commit's number."""
    staged = layout.staged
    names = ", ".join(quoted(column) for column in staged.values())
    chosen = ", ".join(f"{STAGED}.{name}" for name in staged)
    return (
        f"INSERT INTO {layout.target.sql} ({names}, {quoted(COMMIT)}) "
        f"SELECT {chosen}, $1 FROM {STAGED} {kept}"
    )


def not_streamed(layout: Layout) -> str:
    """A condition that the stream has written neither the row nor a tombstone since `plan`.

    `$1` is this commit's number, `$2` the generation's first and `$3` the source table. The staged
    rows go by their own reserved name here: inside the subquery, `s.c0` would be a member of the
    table's own column `s`.
    """
    commit = quoted(COMMIT)
    buried = " AND ".join(
        f"json_extract_string(d.key, '$[{position}]') = "
        f"{_key_part(f'{STAGED}.{name}', column.type)}"
        for position, (name, column) in enumerate(layout.keys_staged)
    )
    return (
        f"WHERE NOT EXISTS (SELECT 1 FROM {layout.target.sql} AS t "
        f"WHERE t.{commit} > $2 AND t.{commit} < $1 AND {layout.key_of_staged('t', STAGED)}) "
        f"AND NOT EXISTS (SELECT 1 FROM _connector.tombstones AS d "
        f"WHERE d.table_name = $3 AND {buried})"
    )


def _key_part(expression: str, type_: Type) -> str:
    """A part of a staged key as `core.keys.part_text` spells it."""
    if type_.kind is Kind.STRING:
        return expression
    if type_.kind is Kind.BINARY:
        return f"to_base64({expression})"
    return canonical_digits(expression, type_)


def deleted_keys(layout: Layout, staged: pa.Table) -> pa.Table:
    """The keys of the staged rows that delete, as tombstones spell them."""
    gone = staged.filter(staged.column(DELETED.name))
    parts = [_texts(gone.column(name), column.type) for name, column in layout.keys_staged]
    return pa.table({"key": pa.array(map(key_text, zip(*parts, strict=True)), pa.string())})


def count(staged: pa.Table, flag: pa.Field) -> int:
    """How many of the staged rows have the flag."""
    return int(pc.sum(staged.column(flag.name)).as_py() or 0)


def _texts(array: pa.ChunkedArray, type_: Type) -> list[str]:
    text: Callable[[Any], str] = _PART_TEXT[type_.kind]
    return [text(value) for value in array.to_pylist()]


_PART_TEXT: dict[Kind, Callable[[Any], str]] = {
    Kind.STRING: str,
    Kind.INTEGER: str,
    Kind.NUMBER: str,
    Kind.DECIMAL: canonical_decimal,
    Kind.BINARY: lambda value: b64encode(value).decode(),
}
