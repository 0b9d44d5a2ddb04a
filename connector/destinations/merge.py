"""The statements that bring staged rows into a DuckDB table."""

from connector.core.names import CHANGED_AT, COMMIT
from connector.core.names import DELETED as MARK
from connector.core.rows import DELETED, KEPT
from connector.core.schema import Kind, Type
from connector.destinations.layout import Layout
from connector.destinations.sql import STAGED, canonical_digits, quoted


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
