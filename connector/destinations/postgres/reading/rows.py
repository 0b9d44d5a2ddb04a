"""A Postgres table's rows, as the source's attributes."""

from collections.abc import Iterator, Mapping

import pyarrow as pa

from connector.core.names import DELETED, REST
from connector.core.rows import field_of, rest_field
from connector.core.schema import JSON, Kind, Type
from connector.core.state import Column
from connector.destinations.postgres.layout import ALWAYS_FIT
from connector.destinations.postgres.session.connection import Connection
from connector.destinations.postgres.types import POSTGRES, canonical_digits
from connector.destinations.sql import Target, quoted
from connector.destinations.table import columns as table_columns
from connector.destinations.table.columns import has


def read_rows(
    connection: Connection,
    target: Target,
    columns: Mapping[str, Column],
    retired: Mapping[str, Column],
    actual: Mapping[str, str],
) -> Iterator[pa.RecordBatch]:
    """Batches with a column `item.<attribute>` for each attribute, and perhaps `rest`.

    What rows of an earlier generation have in retired columns is an attribute as well. Where only
    rows that are marked as deleted have something, nobody reads there what the others have.
    """
    live = _live({**retired, **columns}, actual)
    filled = table_columns.filled(
        retired,
        actual,
        lambda counts: connection.run(f"SELECT {counts} FROM {target.sql}{live}")[0],
    )
    columns = {**columns, **filled}
    fields = [field_of(attribute, column.type) for attribute, column in columns.items()]
    chosen = [_sent(quoted(column.name), column.type) for column in columns.values()]
    if has(POSTGRES, actual, {**retired, **columns}, REST):
        fields.append(rest_field(beside=list(columns)[ALWAYS_FIT:]))
        chosen.append(_sent(quoted(REST), JSON))
    names = ", ".join(f"{value} AS c{place}" for place, value in enumerate(chosen))
    schema = pa.schema(fields)
    for batch in connection.batches(f"SELECT {names} FROM {target.sql}{live}"):
        arrays = [
            # JSON and numbers are sent as text, which Arrow reads exactly.
            array if array.type == field.type else array.cast(_read_as(field)).cast(field.type)
            for array, field in zip(batch.columns, schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def count_rows(
    connection: Connection, target: Target, columns: Mapping[str, Column], actual: Mapping[str, str]
) -> int:
    """How many items the table has."""
    sql = f"SELECT count(*) AS n FROM {target.sql}{_live(columns, actual)}"
    return int(connection.run(sql)[0]["n"])


def _sent(name: str, type_: Type) -> str:
    if type_.kind in (Kind.DECIMAL, Kind.NUMBER):
        return f"{canonical_digits(name)}::text"
    return f"{name}::text" if type_.kind is Kind.JSON else name


def _read_as(field: pa.Field) -> pa.DataType:
    return pa.string() if field.type == JSON.arrow else field.type


def _live(columns: Mapping[str, Column], actual: Mapping[str, str]) -> str:
    """Leaves out rows that are marked as deleted: the source has them no more."""
    marks = has(POSTGRES, actual, columns, DELETED)
    return f" WHERE {quoted(DELETED)} IS NOT TRUE" if marks else ""
