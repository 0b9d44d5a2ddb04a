"""Replicated tables in DuckDB's catalog."""

import duckdb

from connector.destinations.duckdb.session.connection import Connection, run
from connector.destinations.duckdb.types import DUCKDB
from connector.destinations.sql import Target


def describe(connection: Connection, target: Target) -> dict[str, str]:
    """The table's current SQL types by column; empty if there is no such table.

    A list of all columns, as in `information_schema`, takes DuckDB twenty times as long, and a
    statement that fails would end the transaction; looking a table up avoids both.
    """
    try:
        found = connection.table(target.sql)
    except duckdb.CatalogException:
        return {}
    return dict(zip(found.columns, map(str, found.types), strict=True))


def taken(connection: Connection, target: Target) -> bool:
    """Whether anything has a name, even a view of columns that are gone."""
    try:
        connection.table(target.sql)
    except duckdb.CatalogException:
        return False
    except duckdb.BinderException:
        return True
    return True


def used(connection: Connection, target: Target) -> bool:
    """Whether a table has an index, or a comment on a service column, that others created."""
    here = (
        "database_name = current_database() AND lower(schema_name) = lower($1) "
        "AND lower(table_name) = lower($2)"
    )
    sql = (
        f"SELECT 1 AS found FROM duckdb_indexes() WHERE {here} UNION ALL "
        f"SELECT 1 FROM duckdb_columns() WHERE {here} AND comment IS NOT NULL "
        "AND list_contains(string_split($3, ','), lower(column_name))"
    )
    return bool(run(connection, sql, [target.schema, target.name, ",".join(DUCKDB.service)]))


_IS_TARGET = (
    "database_name = $3 AND lower(schema_name) = lower($1) AND lower(table_name) = lower($2)"
)


def has(connection: Connection, target: Target, where: str) -> bool:
    """Whether one of DuckDB's lists, such as `duckdb_indexes`, has an entry for the table."""
    sql = f"SELECT 1 AS found FROM {where}() WHERE {_IS_TARGET}"
    return bool(run(connection, sql, [target.schema, target.name, target.database]))


def comments(connection: Connection, target: Target) -> dict[str, str]:
    """The comments on the columns of a table or a view, by column."""
    sql = (
        "SELECT column_name AS name, comment AS text FROM duckdb_columns() "
        f"WHERE {_IS_TARGET} AND comment IS NOT NULL"
    )
    found = run(connection, sql, [target.schema, target.name, target.database])
    return {row["name"]: row["text"] for row in found}


def has_default(connection: Connection, target: Target, column: str) -> bool:
    """Whether a column has a default."""
    sql = (
        "SELECT column_default AS value FROM duckdb_columns() "
        f"WHERE {_IS_TARGET} AND lower(column_name) = $4"
    )
    found = run(connection, sql, [target.schema, target.name, target.database, column])
    return bool(found and found[0]["value"])
