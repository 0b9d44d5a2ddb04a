"""Replicated tables in DuckDB: described and made."""

from collections.abc import Mapping

from connector.core.names import CHANGED_AT, COMMIT, DELETED, REST
from connector.core.schema import (
    BINARY,
    BOOLEAN,
    DECIMAL_DIGITS,
    INTEGER,
    JSON,
    NUMBER,
    STRING,
    Kind,
    Type,
)
from connector.core.state import Column
from connector.destinations.dialect import Dialect
from connector.destinations.duckdb_connection import Connection, run
from connector.destinations.sql import (
    CHANGED_AT_TYPE,
    COMMIT_TYPE,
    DELETED_TYPE,
    DUCKDB_RULES,
    REST_TYPE,
    Target,
    duckdb_fold,
    duckdb_type,
    duckdb_widened,
    quoted,
)

_DECIMALS = {
    f"DECIMAL({DECIMAL_DIGITS},{scale})": Type(Kind.DECIMAL, DECIMAL_DIGITS - scale, scale)
    for scale in range(DECIMAL_DIGITS + 1)
}

DUCKDB = Dialect(
    rules=DUCKDB_RULES,
    type_of=duckdb_type,
    widened=duckdb_widened,
    service={CHANGED_AT: CHANGED_AT_TYPE, COMMIT: COMMIT_TYPE},
    optional={REST: REST_TYPE, DELETED: DELETED_TYPE},
    adopted={
        "VARCHAR": STRING,
        "BIGINT": INTEGER,
        "JSON": JSON,
        "BLOB": BINARY,
        "BOOLEAN": BOOLEAN,
        **_DECIMALS,
    },
    adopted_keys={
        "S": {"VARCHAR": STRING},
        "N": {"BIGINT": INTEGER, "JSON": NUMBER, **_DECIMALS},
        "B": {"BLOB": BINARY},
    },
)


def describe(connection: Connection, target: Target) -> dict[str, str]:
    """SQL types by column as the table has them now; empty where there is no such table."""
    found = run(
        connection,
        "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns "
        "WHERE lower(table_schema) = lower($1) AND lower(table_name) = lower($2) "
        "AND table_catalog = current_database() ORDER BY ordinal_position",
        [target.schema, target.name],
    )
    wanted = _folded(target.schema, target.name)
    return {
        row["column_name"]: row["data_type"]
        for row in found
        if _folded(row["table_schema"], row["table_name"]) == wanted
    }


def _folded(*names: str) -> tuple[str, ...]:
    return tuple(map(duckdb_fold, names))


def same_target(one: Target, other: Target) -> bool:
    """Whether DuckDB takes both for the same table."""
    return _folded(one.schema, one.name) == _folded(other.schema, other.name)


def create(connection: Connection, target: Target, columns: Mapping[str, Column]) -> None:
    """Makes the table with its key columns, and its schema where absent."""
    types = {column.name: duckdb_type(column.type) for column in columns.values()}
    types.update(DUCKDB.service)
    body = ", ".join(f"{quoted(name)} {sql}" for name, sql in types.items())
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(target.schema)}")
    connection.execute(f"CREATE TABLE {target.sql} ({body})")
