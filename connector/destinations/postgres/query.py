"""The answer to a user's own query of Postgres, every value exact."""

import re
from collections.abc import Mapping

import pyarrow as pa

from connector.destinations.postgres.session.connection import Connection
from connector.destinations.queries.answers import is_readable, named, with_numbers
from connector.destinations.queries.errors import NO_STATEMENT
from connector.destinations.queries.statement import one_statement
from connector.errors import ConfigError

_TYPE = b"POSTGRESQL:type"
_UNCHANGED = frozenset(
    (
        "bool",
        "int2",
        "int4",
        "int8",
        "float4",
        "float8",
        "text",
        "varchar",
        "bpchar",
        "name",
        "bytea",
        "json",
        "jsonb",
        "uuid",
    )
)
"""Types that are read unchanged. The driver has more, but flattens lists, and money is cents."""
_TIMES = {"timestamp": pa.timestamp("us"), "timestamptz": pa.timestamp("us", "UTC")}
_TIMES |= {"date": pa.date32()}
_UNNAMED = re.compile(r"unnamed<oid:(\d+)>")
_SELECTS = frozenset(("select", "values", "table", "with"))


def answered(connection: Connection, sql: str) -> pa.Table:
    """The answer in Arrow; types that the driver does not know are text, and lists are JSON."""
    statement, first = one_statement(sql)
    if not statement:
        raise ConfigError(*NO_STATEMENT)
    schema = connection.described(sql)
    types = _types(connection, schema)
    if set(types) <= _UNCHANGED or first not in _SELECTS:
        # SHOW and EXPLAIN answer with text, and a statement that writes must be refused unchanged.
        answer = connection.query(sql)
        return named(answer.column_names, answer.columns)
    columns = [f"c{place}" for place in range(len(types))]
    chosen = ", ".join(_sent(column, type_) for column, type_ in zip(columns, types, strict=True))
    # On a separate line, since the statement may end with a comment.
    wrapped = f"SELECT {chosen} FROM (\n{statement}\n) AS answer ({', '.join(columns)})"
    answer = connection.query(wrapped)
    read = [_read(column, type_) for column, type_ in zip(answer.columns, types, strict=True)]
    return named(schema.names, read)


def _sent(column: str, type_: str) -> str:
    if type_ in _UNCHANGED:
        return column
    if type_ == "oid":
        return f"{column}::pg_catalog.int8"
    if type_.startswith("_"):
        # Only an array's value has its number of dimensions.
        return f"pg_catalog.to_json({column})"
    return f"{column}::pg_catalog.text"


def _read(column: pa.ChunkedArray, type_: str) -> pa.ChunkedArray | pa.Array:
    if type_ == "numeric":
        return with_numbers(column)
    if type_ not in _TIMES:
        return column
    try:
        times = column.cast(_TIMES[type_])
    except pa.ArrowInvalid:
        # Infinite, before the year 1, or after the year 9999.
        return column
    return times if is_readable(times) else column


def _types(connection: Connection, schema: pa.Schema) -> list[str]:
    """The name of each column's type in the catalog; names of arrays begin with _."""
    types = [(field.metadata or {}).get(_TYPE, b"").decode() for field in schema]
    numbers = {type_: found[1] for type_ in types if (found := _UNNAMED.fullmatch(type_))}
    if not numbers:
        return types
    names = _names(connection, list(numbers.values()))
    return [names.get(numbers.get(type_, ""), type_) for type_ in types]


def _names(connection: Connection, numbers: list[str]) -> Mapping[str, str]:
    """Names, by number, of types that were created after the driver read the catalog."""
    sql = (
        "SELECT oid::text AS number, "
        "CASE WHEN typcategory = 'A' THEN '_' ELSE '' END || oid::text AS name "
        f"FROM pg_catalog.pg_type WHERE oid IN ({', '.join(numbers)})"
    )
    return {row["number"]: row["name"] for row in connection.run(sql)}
