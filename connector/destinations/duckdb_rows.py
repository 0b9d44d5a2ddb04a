"""A DuckDB table's rows, as the source's attributes."""

from collections.abc import Iterator, Mapping

import pyarrow as pa

from connector.core.names import DELETED, REST
from connector.core.rows import field_of, rest_field
from connector.core.schema import JSON
from connector.core.state import Column
from connector.destinations.duckdb_connection import Connection, run
from connector.destinations.duckdb_schema import DUCKDB
from connector.destinations.sql import Target, quoted
from connector.destinations.table_columns import has

# A row can have 400 KB, so this bounds a batch at 200 MB.
_ROWS_AT_ONCE = 512


def read_rows(
    connection: Connection, target: Target, columns: Mapping[str, Column], actual: Mapping[str, str]
) -> Iterator[pa.RecordBatch]:
    """Batches with a column `item.<attribute>` for each attribute, and perhaps `rest`."""
    fields = [field_of(attribute, column.type) for attribute, column in columns.items()]
    names = [column.name for column in columns.values()]
    if has(DUCKDB, actual, REST):
        fields.append(rest_field())
        names.append(REST)
    chosen = ", ".join(f"{quoted(name)} AS c{index}" for index, name in enumerate(names))
    relation = connection.sql(f"SELECT {chosen} FROM {target.sql}{_live(actual)}")
    schema = pa.schema(fields)
    for batch in relation.to_arrow_reader(_ROWS_AT_ONCE):
        arrays = [
            # DuckDB returns JSON as plain text.
            array.cast(pa.string()).cast(JSON.arrow) if field.type == JSON.arrow else array
            for array, field in zip(batch.columns, schema, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def count_rows(connection: Connection, target: Target, actual: Mapping[str, str]) -> int:
    """How many items the table has."""
    return int(run(connection, f"SELECT count(*) AS n FROM {target.sql}{_live(actual)}")[0]["n"])


def _live(actual: Mapping[str, str]) -> str:
    """Leaves out rows that are marked as deleted: the source has them no more."""
    return f" WHERE {quoted(DELETED)} IS NOT TRUE" if has(DUCKDB, actual, DELETED) else ""
