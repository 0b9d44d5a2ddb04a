"""A DuckDB table's rows, as the source's attributes."""

from collections.abc import Iterator, Mapping

import pyarrow as pa

from connector.core.names import DELETED, REST
from connector.core.rows import field_of, rest_field
from connector.core.schema import JSON
from connector.core.state import Column
from connector.destinations.duckdb.schema import DUCKDB
from connector.destinations.duckdb.session.connection import Connection, run
from connector.destinations.sql import Target, quoted
from connector.destinations.table import columns as table_columns
from connector.destinations.table.columns import has

# A row can have 400 KB, so this bounds a batch at 200 MB.
_ROWS_AT_ONCE = 512


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
        lambda counts: run(connection, f"SELECT {counts} FROM {target.sql}{live}")[0],
    )
    columns = {**columns, **filled}
    fields = [field_of(attribute, column.type) for attribute, column in columns.items()]
    names = [column.name for column in columns.values()]
    if has(DUCKDB, actual, {**retired, **columns}, REST):
        fields.append(rest_field())
        names.append(REST)
    chosen = ", ".join(f"{quoted(name)} AS c{index}" for index, name in enumerate(names))
    relation = connection.sql(f"SELECT {chosen} FROM {target.sql}{live}")
    schema = pa.schema(fields)
    for batch in relation.to_arrow_reader(_ROWS_AT_ONCE):
        arrays = [
            # DuckDB returns JSON as plain text.
            array.cast(pa.string()).cast(JSON.arrow) if field.type == JSON.arrow else array
            for array, field in zip(batch.columns, schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def count_rows(
    connection: Connection, target: Target, columns: Mapping[str, Column], actual: Mapping[str, str]
) -> int:
    """How many items the table has."""
    sql = f"SELECT count(*) AS n FROM {target.sql}{_live(columns, actual)}"
    return int(run(connection, sql)[0]["n"])


def _live(columns: Mapping[str, Column], actual: Mapping[str, str]) -> str:
    """Leaves out rows that are marked as deleted: the source has them no more."""
    marks = has(DUCKDB, actual, columns, DELETED)
    return f" WHERE {quoted(DELETED)} IS NOT TRUE" if marks else ""
