"""Replicated tables in DuckDB: described and made."""

from collections.abc import Mapping

import duckdb
from sqlalchemy.schema import CreateSchema, CreateTable
from sqlalchemy.sql.ddl import ExecutableDDLElement

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
from connector.destinations.duckdb_connection import Connection, run, run_on_state
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
from connector.destinations.state_tables import SCHEMA, Schema, all_tables, definition, tables

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
    """SQL types by column as the table has them now; empty where there is no such table.

    A list of all columns, as in `information_schema`, takes DuckDB twenty times as long, and a
    statement that fails would end the transaction: looking a table up does neither.
    """
    database = run(connection, "SELECT current_database() AS name")[0]["name"]
    return _looked_up(connection, database, target)


def _looked_up(connection: Connection, database: str, target: Target) -> dict[str, str]:
    try:
        found = connection.table(f"{quoted(database)}.{target.sql}")
    except duckdb.CatalogException:
        return {}
    return dict(zip(found.columns, map(str, found.types), strict=True))


def state_names(connection: Connection) -> set[str]:
    """The tables of the state that are there. Without the first of them, whatever is there."""
    sql = (
        "SELECT database_name FROM duckdb_schemas() "
        "WHERE database_name = current_database() AND schema_name = $1"
    )
    schemas = run(connection, sql, [SCHEMA])
    if not schemas:
        return set()
    database = schemas[0]["database_name"]
    names = [table.name for table in all_tables()]
    present = {name for name in names if _looked_up(connection, database, Target(SCHEMA, name))}
    if tables.name in present:
        return present
    sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = $1"
    return {row["table_name"] for row in run(connection, sql, [SCHEMA])}


def unused(connection: Connection, target: Target) -> bool:
    """Whether a table is empty, and has no index and no comment on a column of somebody else."""
    if run(connection, f"SELECT 1 AS found FROM {target.sql} LIMIT 1"):
        return False
    here = (
        "database_name = current_database() AND lower(schema_name) = lower($1) "
        "AND lower(table_name) = lower($2)"
    )
    used = (
        f"SELECT 1 AS found FROM duckdb_indexes() WHERE {here} UNION ALL "
        f"SELECT 1 FROM duckdb_columns() WHERE {here} AND comment IS NOT NULL"
    )
    return not run(connection, used, [target.schema, target.name])


def state_schema(connection: Connection) -> Schema:
    """The schema of the state, in the transaction of a connection."""
    return Schema(
        execute=lambda sql, parameters: run_on_state(connection, sql, parameters),
        listed=lambda: state_names(connection),
        create=lambda: _execute(connection, CreateSchema(SCHEMA, if_not_exists=True)),
        create_table=lambda table: _execute(connection, CreateTable(table)),
    )


def _execute(connection: Connection, element: ExecutableDDLElement) -> None:
    run_on_state(connection, definition(element), ())


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
