"""Merging and loading in plain SQL, for databases without a faster way of their own."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from connector.core.names import CHANGED_AT, COMMIT
from connector.core.names import DELETED as MARK
from connector.core.rows import CHANGED_AT as CHANGED_AT_FIELD
from connector.core.rows import DELETED, MARKED
from connector.destinations.commits.staging import Layout, key_texts
from connector.destinations.sql import OUTER, STAGED, STAGED_TIMES, quoted
from connector.destinations.state import tables as t

if TYPE_CHECKING:
    from connector.destinations.commits.load import Loading
    from connector.destinations.database import Merge, Transaction

# A row can have 400 KB, and each batch is staged separately.
_ROWS_AT_ONCE = 1_000

_GONE, _MARKED = f"{STAGED}.{DELETED.name}", f"{STAGED}.{MARKED.name}"


def merge(transaction: "Transaction", merge: "Merge") -> int:
    """Deletes the rows of the staged keys and inserts those that stay, then marks."""
    layout = merge.layout
    table, same = layout.target.sql, layout.key_of_staged(OUTER, STAGED)
    staged = f"SELECT 1 FROM {STAGED} WHERE {same}"
    rows = f"{table} AS {OUTER} WHERE EXISTS"
    gone = transaction.ask(f"SELECT count(*) AS n FROM {rows} ({staged} AND {_GONE})")
    transaction.ask(f"DELETE FROM {rows} ({staged} AND NOT {_MARKED})")
    there = f"EXISTS (SELECT 1 FROM {table} AS {OUTER} WHERE {same})"
    _insert(transaction, layout, f"NOT {_GONE} AND NOT {there}", [merge.commit])
    if merge.marked:
        changed = f"{STAGED}.{CHANGED_AT_FIELD.name}"
        transaction.ask(
            f"UPDATE {table} AS {OUTER} SET {quoted(CHANGED_AT)} = {changed}, "
            f"{quoted(COMMIT)} = CAST($1 AS BIGINT), {quoted(MARK)} = true "
            f"FROM {STAGED} WHERE {same} AND {_MARKED}",
            [merge.commit],
        )
    return int(gone[0]["n"])


def not_older(transaction: "Transaction", layout: Layout) -> list[dict[str, Any]]:
    """Rows that are not older than the staged times of their keys."""
    at = f"{OUTER}.{quoted(CHANGED_AT)}"
    s = STAGED_TIMES
    return transaction.ask(
        f"SELECT {s}.place AS place, {at} > {s}.high AS newer, {at} AS at "
        f"FROM {layout.target.sql} AS {OUTER} JOIN {s} ON {layout.key_of_staged(OUTER, s)} "
        f"WHERE {at} IN ({s}.in_second, {s}.in_millisecond) OR {at} >= {s}.made"
    )


def load(
    transaction: "Transaction", loading: "Loading", tables: Iterable[pa.Table]
) -> tuple[int, int]:
    """Inserts rows that the stream has not overtaken; deletes the rows of earlier generations."""
    earlier = loading.count(loading.earlier)
    loading.feed(tables, lambda reader: _added(transaction, loading, reader), _ROWS_AT_ONCE)
    table, layout, commit = loading.target, loading.layout, quoted(COMMIT)
    again = (
        f"EXISTS (SELECT 1 FROM {table} AS n WHERE n.{commit} = CAST($2 AS BIGINT) "
        f"AND {layout.same_key('n', OUTER)})"
    )
    transaction.ask(
        f"DELETE FROM {table} AS {OUTER} WHERE {OUTER}.{commit} <= CAST($1 AS BIGINT) AND {again}",
        [loading.start, loading.commit],
    )
    vanishing = loading.count(loading.earlier)
    loading.refuse_too_many(vanishing, earlier, loading.earlier)
    transaction.ask(f"DELETE FROM {table} AS {OUTER} WHERE {loading.earlier}", [loading.start])
    return loading.count(f"{OUTER}.{commit} = {loading.commit}"), vanishing


def _added(transaction: "Transaction", loading: "Loading", reader: pa.RecordBatchReader) -> int:
    """Adds rows as they come; returns how many were read."""
    read = 0
    for batch in reader:
        _add(transaction, loading, pa.Table.from_batches([batch]))
        read += len(batch)
    return read


def _add(transaction: "Transaction", loading: "Loading", rows: pa.Table) -> None:
    """Adds the newest row of each key, unless a newer row or a tombstone exists."""
    layout, table = loading.layout, loading.target
    rows = rows.append_column("key", key_texts(layout, rows)).sort_by(CHANGED_AT_FIELD.name)
    newest = {key: place for place, key in enumerate(rows.column("key").to_pylist())}
    same, commit = layout.key_of_staged(OUTER, STAGED), quoted(COMMIT)
    changed = f"{STAGED}.{CHANGED_AT_FIELD.name}"
    with transaction.staged(rows.take(pa.array(newest.values(), pa.int64())), STAGED):
        transaction.ask(
            f"DELETE FROM {table} AS {OUTER} WHERE {OUTER}.{commit} = CAST($1 AS BIGINT) AND "
            f"EXISTS (SELECT 1 FROM {STAGED} WHERE {same} "
            f"AND {OUTER}.{quoted(CHANGED_AT)} <= {changed})",
            [loading.commit],
        )
        there = (
            f"SELECT 1 FROM {table} AS {OUTER} WHERE {same} "
            f"AND {OUTER}.{commit} > CAST($2 AS BIGINT)"
        )
        buried = (
            f"SELECT 1 FROM {t.tombstones} AS d WHERE d.table_name = $3 AND d.key = {STAGED}.key"
        )
        fresh = f"NOT EXISTS ({there}) AND NOT EXISTS ({buried})"
        _insert(transaction, layout, fresh, [loading.commit, loading.start, loading.table])


def _insert(
    transaction: "Transaction", layout: Layout, condition: str, parameters: Sequence[Any]
) -> None:
    names = ", ".join(map(quoted, layout.staged.values()))
    values = ", ".join(f"{STAGED}.{name}" for name in layout.staged)
    transaction.ask(
        f"INSERT INTO {layout.target.sql} ({names}, {quoted(COMMIT)}) "
        f"SELECT {values}, CAST($1 AS BIGINT) FROM {STAGED} WHERE {condition}",
        parameters,
    )
