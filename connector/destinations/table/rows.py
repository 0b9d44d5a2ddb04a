"""A table's rows, as the source's attributes."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import pyarrow as pa

from connector.core.keys import key_text, stored_part
from connector.core.names import CHANGED_AT, DELETED, REST
from connector.core.rows import TARGET, field_of, rest_field
from connector.core.schema import JSON
from connector.core.state import Column
from connector.destinations.database import Found, Transaction
from connector.destinations.sql import Target, quoted
from connector.destinations.state.part import Part
from connector.destinations.table import columns as table_columns
from connector.destinations.table.columns import has


def read_rows(
    transaction: Transaction,
    target: Target,
    columns: Mapping[str, Column],
    retired: Mapping[str, Column],
    actual: Mapping[str, str],
) -> Iterator[pa.RecordBatch]:
    """Batches with a column `item.<attribute>` for each attribute, and perhaps `rest`.

    The values of retired columns, from an earlier generation, are attributes as well. A retired
    column that only rows marked as deleted still fill is left out.
    """
    dialect = transaction.dialect
    live = live_rows(transaction, {**retired, **columns}, actual)
    filled = table_columns.filled(
        retired,
        actual,
        lambda counts: transaction.ask(f"SELECT {counts} FROM {target.sql}{live}")[0],
    )
    columns = {**columns, **filled}
    fields = [field_of(attribute, column.type) for attribute, column in columns.items()]
    chosen = [dialect.sent(quoted(column.name), column.type) for column in columns.values()]
    if has(dialect, actual, {**retired, **columns}, REST):
        fields.append(rest_field(beside=list(columns)[dialect.always_fit :]))
        chosen.append(dialect.sent(quoted(REST), JSON))
    names = ", ".join(f"{value} AS c{place}" for place, value in enumerate(chosen))
    schema = pa.schema(fields)
    for batch in transaction.batches(f"SELECT {names} FROM {target.sql}{live}"):
        arrays = [
            # JSON, and numbers of any length, are sent as text, which Arrow reads exactly.
            array if array.type == field.type else array.cast(_read_as(field)).cast(field.type)
            for array, field in zip(batch.columns, schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


Parts = Sequence[tuple[Part, Found]]
"""The targets of a table, and each as it is."""


def unchanged(transaction: Transaction, part: Part) -> Found:
    """A table as it is. Raises DestinationRefused if somebody else has changed it."""
    target, keys = part.header.target, part.header.row_keys
    found, columns = transaction.describe(target), part.state.columns(part.header.table_name)
    table_columns.refuse_changed(transaction.dialect, target, found, columns, keys)
    return found


def read_all(transaction: Transaction, parts: Parts) -> Iterator[pa.RecordBatch]:
    """The rows of every target; they say which one, if there are several."""
    for part, found in parts:
        columns, retired = part.state.all_columns(part.header.table_name)
        target, name = part.header.target, {TARGET: part.name.encode()}
        for batch in read_rows(transaction, target, columns, retired, found.columns):
            yield batch if part.place is None else batch.replace_schema_metadata(name)


def count_all(transaction: Transaction, parts: Parts) -> dict[str, int]:
    """The number of items in each target."""
    counts: dict[str, int] = {}
    for part, found in parts:
        columns, retired = part.state.all_columns(part.header.table_name)
        named, target = retired | columns, part.header.target
        counts[part.name] = count_rows(transaction, target, named, found.columns)
    return counts


def all_changed_keys(
    transaction: Transaction, parts: Parts, since: datetime, until: datetime
) -> Iterator[tuple[str, bool]]:
    """The keys of live rows that changed after `since`, and whether that was by `until`."""
    for part, found in parts:
        columns, retired = part.state.all_columns(part.header.table_name)
        live = live_rows(transaction, retired | columns, found.columns)
        keys = [columns[key.name] for key in part.header.row_keys]
        yield from changed_keys(transaction, part.header.target, keys, live, since, until)


def count_rows(
    transaction: Transaction,
    target: Target,
    columns: Mapping[str, Column],
    actual: Mapping[str, str],
) -> int:
    """The number of items in the table."""
    sql = f"SELECT count(*) AS n FROM {target.sql}{live_rows(transaction, columns, actual)}"
    return int(transaction.ask(sql)[0]["n"])


def changed_keys(
    transaction: Transaction,
    target: Target,
    keys: Sequence[Column],
    live: str,
    since: datetime,
    until: datetime,
) -> Iterator[tuple[str, bool]]:
    """The keys of rows that changed after `since`, and whether that was by `until`."""
    dialect, changed = transaction.dialect, quoted(CHANGED_AT)
    chosen = [dialect.sent(quoted(column.name), column.type) for column in keys]
    names = ", ".join(f"{value} AS c{place}" for place, value in enumerate(chosen))
    sql = (
        f"SELECT {names}, {changed} <= {_moment(until)} AS early FROM {target.sql}"
        f"{live or ' WHERE true'} AND {changed} > {_moment(since)}"
    )
    for batch in transaction.batches(sql):
        parts = [
            [stored_part(column.type, value) for value in _as_read(array, column).to_pylist()]
            for array, column in zip(batch.columns, keys, strict=False)
        ]
        early = batch.column(len(keys)).to_pylist()
        yield from zip(map(key_text, zip(*parts, strict=True)), map(bool, early), strict=True)


def _as_read(array: pa.Array, column: Column) -> pa.Array:
    field = field_of(column.name, column.type)
    return array if array.type == field.type else array.cast(_read_as(field)).cast(field.type)


def _moment(at: datetime) -> str:
    return f"CAST('{at.astimezone(UTC).isoformat()}' AS TIMESTAMP WITH TIME ZONE)"


def _read_as(field: pa.Field) -> pa.DataType:
    return pa.string() if field.type == JSON.arrow else field.type


def live_rows(
    transaction: Transaction, columns: Mapping[str, Column], actual: Mapping[str, str]
) -> str:
    """A condition, if one is needed, that leaves out rows marked as deleted."""
    marks = has(transaction.dialect, actual, columns, DELETED)
    return f" WHERE {quoted(DELETED)} IS NOT TRUE" if marks else ""
