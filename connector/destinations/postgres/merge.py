"""The statements that write staged rows to a Postgres table.

Staged rows are `s` and the table is `t`: an alias wins over a column of the same name.
"""

from collections.abc import Mapping

from connector.core.names import CHANGED_AT, COMMIT, REST
from connector.core.names import DELETED as MARK
from connector.core.rows import CHANGED_AT as CHANGED_AT_FIELD
from connector.core.rows import DELETED, MARKED
from connector.core.schema import JSON, Kind, Type
from connector.destinations.commits.staging import Layout
from connector.destinations.postgres.types import staged_value
from connector.destinations.sql import STAGED, quoted

IN_STAGE = f"pg_temp.{quoted(STAGED)}"


def upsert_sql(layout: Layout) -> str:
    """Upserts the staged rows that are neither deleted nor marked; `$1` is the commit's number.

    The whole item is replaced: a column that the staged rows lack becomes NULL. A user's own
    columns are left alone. Rows are locked in the order of their keys, so that two commits never
    wait for each other.
    """
    return (
        f"{_insert(layout, f's.{DELETED.name} OR s.{MARKED.name}')} "
        f"ORDER BY {', '.join(_keys_staged(layout).values())} {_on_conflict(layout)}"
    )


def load_sql(layout: Layout) -> str:
    """Upserts a scan's staged rows: the newest of each key that the stream did not write.

    `$1` is the commit's number, `$2` the generation's first and `$3` the source table.
    """
    key_of = _keys_staged(layout)
    keys = ", ".join(key_of.values())
    return (
        f"{_insert(layout, buried(layout, key_of, '$3'), f'DISTINCT ON ({keys})')} "
        f"ORDER BY {keys}, s.{CHANGED_AT_FIELD.name} DESC "
        f"{_on_conflict(layout)} WHERE t.{quoted(COMMIT)} <= $2::bigint"
    )


def insert_sql(layout: Layout) -> str:
    """Adds every staged row to a table without a key; `$1` is the commit's number."""
    return _insert(layout, "false")


def _insert(layout: Layout, without: str, distinct: str = "") -> str:
    values = _values(layout)
    return (
        f"INSERT INTO {layout.target.sql} AS t ({', '.join(values)}) "
        f"SELECT {distinct} {', '.join(values.values())} FROM {IN_STAGE} AS s WHERE NOT ({without})"
    )


def _values(layout: Layout) -> dict[str, str]:
    """Column of the table → its value."""
    types = {column.name: column.type for column in layout.columns.values()} | {REST: JSON}
    values = {
        quoted(column): staged_value(f"s.{name}", types[column]) if column in types else f"s.{name}"
        for name, column in layout.staged.items()
    }
    values[quoted(COMMIT)] = "$1::bigint"
    if layout.marks:
        values[quoted(MARK)] = "false"
    return values


def _on_conflict(layout: Layout) -> str:
    keys = {quoted(column.name) for _, column in layout.keys_staged}
    names = [name for name in _values(layout) if name not in keys]
    changes = {name: f"excluded.{name}" for name in names}
    staged = set(layout.staged.values())
    changes |= {
        quoted(column.name): "NULL"
        for column in layout.columns.values()
        if column.name not in staged
    }
    changes |= {quoted(name): "NULL" for name in layout.retired}
    return _conflict(layout, changes)


def _conflict(layout: Layout, changes: Mapping[str, str]) -> str:
    keys = ", ".join(quoted(column.name) for _, column in layout.keys_staged)
    sets = ", ".join(f"{name} = {value}" for name, value in changes.items())
    return f"ON CONFLICT ({keys}) DO UPDATE SET {sets}"


def mark_sql(layout: Layout) -> str:
    """Marks the rows of deleted items; `$1` is the commit's number.

    They keep their values; a row that does not exist yet is added with its key alone.
    """
    keys = {quoted(name): value for name, value in _keys_staged(layout).items()}
    service = {
        quoted(CHANGED_AT): f"s.{CHANGED_AT_FIELD.name}",
        quoted(COMMIT): "$1::bigint",
        quoted(MARK): "true",
    }
    values = keys | service
    conflict = _conflict(layout, {name: f"excluded.{name}" for name in service})
    return (
        f"INSERT INTO {layout.target.sql} AS t ({', '.join(values)}) "
        f"SELECT {', '.join(values.values())} FROM {IN_STAGE} AS s WHERE s.{MARKED.name} "
        f"ORDER BY {', '.join(_keys_staged(layout).values())} {conflict}"
    )


def delete_sql(layout: Layout) -> str:
    """Deletes the rows of deleted items."""
    return (
        f"DELETE FROM {layout.target.sql} AS t USING {IN_STAGE} AS s "
        f"WHERE s.{DELETED.name} AND {_same_key(layout)}"
    )


def left_sql(layout: Layout) -> str:
    """Counts the rows of deleted items."""
    return (
        f"SELECT count(*) AS n FROM {layout.target.sql} AS t JOIN {IN_STAGE} AS s "
        f"ON s.{DELETED.name} AND {_same_key(layout)}"
    )


def missing_sql(layout: Layout) -> str:
    """Counts a scan's staged keys that have no row of this load, nor one or a grave of the stream.

    `$1` is the generation's first commit and `$2` the source table.
    """
    return (
        f"SELECT count(*) AS n FROM {IN_STAGE} AS s "
        f"WHERE NOT ({buried(layout, _keys_staged(layout), '$2')}) AND NOT EXISTS ("
        f"SELECT 1 FROM {layout.target.sql} AS t "
        f"WHERE t.{quoted(COMMIT)} > $1::bigint AND {_same_key(layout)})"
    )


def _same_key(layout: Layout) -> str:
    keys = _keys_staged(layout).items()
    return " AND ".join(f"t.{quoted(name)} = {value}" for name, value in keys)


def buried(layout: Layout, key_of: Mapping[str, str], table: str) -> str:
    """A condition that a key, given by its columns, has a tombstone; `table` is the source's."""
    return f"EXISTS ({buried_rows(layout, key_of, table)})"


def buried_rows(layout: Layout, key_of: Mapping[str, str], table: str) -> str:
    """The tombstones of a key, given by its columns; `table` is the source's."""
    parts = [
        f"{_of_tombstone(f'(d.key::jsonb ->> {place})', column.type)} = {key_of[column.name]}"
        for place, (_, column) in enumerate(layout.keys_staged)
    ]
    return (
        "SELECT 1 FROM _connector.tombstones AS d "
        f"WHERE d.table_name = {table} AND {' AND '.join(parts)}"
    )


def _of_tombstone(part: str, type_: Type) -> str:
    """A part of a tombstone's key, from `core.keys.stored_part`, in its column's type."""
    if type_.kind is Kind.STRING:
        return f'{part} COLLATE "C"'
    if type_.kind is Kind.BINARY:
        return f"decode({part}, 'base64')"
    return f"{part}::numeric"


def _keys_staged(layout: Layout) -> dict[str, str]:
    """Column of the key → its staged value."""
    return {
        column.name: staged_value(f"s.{name}", column.type) for name, column in layout.keys_staged
    }
