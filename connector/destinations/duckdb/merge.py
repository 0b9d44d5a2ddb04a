"""The statements that write staged rows to a DuckDB table."""

from connector.core.names import CHANGED_AT, COMMIT
from connector.core.names import DELETED as MARK
from connector.core.rows import CHANGED_AT as CHANGED_AT_FIELD
from connector.core.rows import DELETED, MARKED
from connector.core.schema import Kind, Type
from connector.destinations.commits.staging import Layout
from connector.destinations.database import Merge
from connector.destinations.duckdb.session.connection import Connection, changed
from connector.destinations.duckdb.types import canonical_digits
from connector.destinations.sql import STAGED, quoted
from connector.destinations.state.tables import tombstones as TOMBSTONES

# A reserved name, so that it cannot be read as a column of the table.
_ROW = "_connector_row"
_MARKED_ROWS = "_connector_marked"


def temporary(name: str) -> str:
    """A temporary table, under a name that no schema of the file can hide."""
    return quoted("temp", "main", name)


def merge(connection: Connection, merge: Merge) -> int:
    """Replaces, adds, deletes and marks by the staged rows; returns how many rows were deleted.

    The whole item is replaced: a column that the staged rows lack becomes NULL. A row that is only
    marked as deleted keeps its values; one that was never seen is added with its key alone.

    Rows are deleted and inserted again, never updated: DuckDB 2.0 takes minutes for an UPDATE or a
    MERGE that hits rows of which many were updated before (docs/decisions/delete-and-insert.md).
    """
    layout, number = merge.layout, merge.commit
    marking = layout.marks and merge.marked > 0
    if marking:
        connection.execute(_marked_sql(layout), [number])
    # A table may have a column of that name, so the staged one is always qualified.
    deleted = f"{STAGED}.{DELETED.name}"
    gone = changed(connection, _delete_sql(layout, deleted), []) if merge.deleted else 0
    changed(connection, _delete_sql(layout, f"NOT {deleted}"), [])
    changed(connection, _replace_sql(layout, marking), [number])
    if marking:
        target = layout.target.sql
        changed(connection, f"INSERT INTO {target} SELECT * FROM {temporary(_MARKED_ROWS)}", [])
        connection.execute(f"DROP TABLE {temporary(_MARKED_ROWS)}")
    return gone


def _marked_sql(layout: Layout) -> str:
    """Selects the rows of deleted items that stay, already marked."""
    changes = {CHANGED_AT: f"{STAGED}.{CHANGED_AT_FIELD.name}", COMMIT: "$1", MARK: "true"}
    replaced = ", ".join(f"{value} AS {quoted(name)}" for name, value in changes.items())
    return (
        f"CREATE TEMP TABLE {_MARKED_ROWS} AS SELECT {_ROW}.* REPLACE ({replaced}) "
        f"FROM {layout.target.sql} AS {_ROW} JOIN {STAGED} "
        f"ON {layout.key_of_staged(_ROW, STAGED)} WHERE {STAGED}.{MARKED.name}"
    )


def _delete_sql(layout: Layout, condition: str) -> str:
    return (
        f"DELETE FROM {layout.target.sql} AS {_ROW} USING {STAGED} "
        f"WHERE {layout.key_of_staged(_ROW, STAGED)} AND {condition}"
    )


def _replace_sql(layout: Layout, marking: bool) -> str:
    values = {quoted(column): f"{STAGED}.{name}" for name, column in layout.staged.items()}
    values[quoted(COMMIT)] = "$1"
    if layout.marks:
        values[quoted(MARK)] = f"{STAGED}.{MARKED.name}"
    unmarked = ""
    if marking:
        unmarked = (
            f" AND NOT EXISTS (SELECT 1 FROM {temporary(_MARKED_ROWS)} AS {_ROW} "
            f"WHERE {layout.key_of_staged(_ROW, STAGED)})"
        )
    return (
        f"INSERT INTO {layout.target.sql} ({', '.join(values)}) "
        f"SELECT {', '.join(values.values())} FROM {STAGED} "
        f"WHERE NOT {STAGED}.{DELETED.name}{unmarked}"
    )


def insert_sql(layout: Layout, where: str = "") -> str:
    """Adds the staged rows for which the condition `where` holds; `$1` is the commit's number."""
    staged = layout.staged
    names = ", ".join(quoted(column) for column in staged.values())
    chosen = ", ".join(f"{STAGED}.{name}" for name in staged)
    return (
        f"INSERT INTO {layout.target.sql} ({names}, {quoted(COMMIT)}) "
        f"SELECT {chosen}, $1 FROM {STAGED} {where}"
    )


def not_streamed(layout: Layout) -> str:
    """A condition that since `plan` the stream has written neither the row nor a tombstone.

    `$1` is this commit's number, `$2` the generation's first and `$3` the source table. The staged
    rows go by their own reserved name here: inside the subquery, `s.c0` would be a member of the
    table's own column `s`.
    """
    commit = quoted(COMMIT)
    return (
        f"WHERE NOT EXISTS (SELECT 1 FROM {layout.target.sql} AS t "
        f"WHERE t.{commit} > $2 AND t.{commit} < $1 AND {layout.key_of_staged('t', STAGED)}) "
        f"AND NOT EXISTS ({buried_sql(layout, STAGED, '$3')})"
    )


def buried_sql(layout: Layout, staged: str, table: str) -> str:
    """The tombstones with the key of a staged row; `table` is the source's."""
    tombstones = layout.target.beside(TOMBSTONES.schema or "", TOMBSTONES.name).sql
    buried = " AND ".join(
        f"json_extract_string(d.key, '$[{position}]') = "
        f"{_key_part(f'{staged}.{name}', column.type)}"
        for position, (name, column) in enumerate(layout.keys_staged)
    )
    return f"SELECT 1 FROM {tombstones} AS d WHERE d.table_name = {table} AND {buried}"


def _key_part(expression: str, type_: Type) -> str:
    """A part of a staged key in the format of `core.keys.stored_part`."""
    if type_.kind is Kind.STRING:
        return expression
    if type_.kind is Kind.BINARY:
        return f"to_base64({expression})"
    return canonical_digits(expression, type_)
