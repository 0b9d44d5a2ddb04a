"""Replicated tables in DuckDB: described and made."""

import re
import sys
from collections.abc import Sequence
from typing import Any

import duckdb
from sqlalchemy.schema import CreateSchema, CreateTable

from connector.core.names import CHANGED_AT, COMMIT, DELETED, REST
from connector.destinations.duckdb.session.connection import (
    Connection,
    database_of,
    run,
    run_on_state,
)
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
from connector.destinations.state.tables import SCHEMA, Schema, all_tables, definition, tables
from connector.destinations.table.dialect import Dialect

DUCKDB = Dialect(
    rules=DUCKDB_RULES,
    type_of=duckdb_type,
    widened=duckdb_widened,
    service={CHANGED_AT: CHANGED_AT_TYPE, COMMIT: COMMIT_TYPE},
    optional={REST: REST_TYPE, DELETED: DELETED_TYPE},
    max_columns=sys.maxsize,
    table_fold=duckdb_fold,
)


def describe(connection: Connection, target: Target) -> dict[str, str]:
    """SQL types by column as the table has them now; empty where there is no such table.

    A list of all columns, as in `information_schema`, takes DuckDB twenty times as long, and a
    statement that fails would end the transaction: looking a table up does neither.
    """
    try:
        found = connection.table(target.sql)
    except duckdb.CatalogException:
        return {}
    return dict(zip(found.columns, map(str, found.types), strict=True))


def state_names(connection: Connection, database: str) -> set[str]:
    """The tables of the state that are there. Without the first of them, whatever is there."""
    sql = "SELECT 1 AS found FROM duckdb_schemas() WHERE database_name = $1 AND schema_name = $2"
    if not run(connection, sql, [database, SCHEMA]):
        return set()
    names = [table.name for table in all_tables()]
    present = {name for name in names if describe(connection, Target(SCHEMA, name, database))}
    if tables.name in present:
        return present
    sql = "SELECT table_name FROM duckdb_tables() WHERE database_name = $1 AND schema_name = $2"
    return {row["table_name"] for row in run(connection, sql, [database, SCHEMA])}


def used(connection: Connection, target: Target) -> bool:
    """Whether a table has an index, or a comment on a column, of somebody else."""
    here = (
        "database_name = current_database() AND lower(schema_name) = lower($1) "
        "AND lower(table_name) = lower($2)"
    )
    sql = (
        f"SELECT 1 AS found FROM duckdb_indexes() WHERE {here} UNION ALL "
        f"SELECT 1 FROM duckdb_columns() WHERE {here} AND comment IS NOT NULL"
    )
    return bool(run(connection, sql, [target.schema, target.name]))


def state_schema(connection: Connection) -> Schema:
    """The schema of the state, in the transaction of a connection."""
    database = database_of(connection)
    qualified = quoted(database, SCHEMA)

    def execute(sql: str, parameters: Sequence[Any]) -> list[dict[str, Any]]:
        return run_on_state(connection, _STATE.sub(lambda _: qualified, sql), parameters)

    return Schema(
        execute=execute,
        listed=lambda: state_names(connection, database),
        create=lambda: _discard(execute(definition(CreateSchema(SCHEMA, if_not_exists=True)), ())),
        create_table=lambda table: _discard(execute(definition(CreateTable(table)), ())),
        database=database,
    )


_IS_TARGET = (
    "database_name = $3 AND lower(schema_name) = lower($1) AND lower(table_name) = lower($2)"
)

# Statements on the state hold no text but names of ours: whatever else there is, is a parameter.
_STATE = re.compile(rf'"{SCHEMA}"|(?<![\w"]){SCHEMA}(?![\w"])')


def _discard(rows: list[dict[str, Any]]) -> None:
    """What makes something has no rows."""


def has(connection: Connection, target: Target, where: str) -> bool:
    """Whether one of DuckDB's lists, such as `duckdb_indexes`, has something of the table."""
    sql = f"SELECT 1 AS found FROM {where}() WHERE {_IS_TARGET}"
    return bool(run(connection, sql, [target.schema, target.name, target.database]))


def has_default(connection: Connection, target: Target, column: str) -> bool:
    """Whether a column has a default."""
    sql = (
        "SELECT column_default AS told FROM duckdb_columns() "
        f"WHERE {_IS_TARGET} AND lower(column_name) = $4"
    )
    found = run(connection, sql, [target.schema, target.name, target.database, column])
    return bool(found and found[0]["told"])
