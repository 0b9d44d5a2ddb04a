"""The tables of the state in DuckDB."""

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy.schema import CreateSchema

from connector.destinations.duckdb.schema import describe
from connector.destinations.duckdb.session.connection import (
    Connection,
    database_of,
    run,
    run_on_state,
)
from connector.destinations.sql import Target, quoted
from connector.destinations.state.tables import SCHEMA, Schema, all_tables, definition, tables

# Statements on the state contain only our own names: everything else is a parameter.
_STATE = re.compile(rf'"{SCHEMA}"|(?<![\w"]){SCHEMA}(?![\w"])')


def state_schema(connection: Connection) -> Schema:
    """The schema of the state, in the transaction of a connection."""
    database = database_of(connection)
    qualified = quoted(database, SCHEMA)

    def execute(sql: str, parameters: Sequence[Any]) -> list[dict[str, Any]]:
        return run_on_state(connection, _STATE.sub(lambda _: qualified, sql), parameters)

    return Schema(
        execute=execute,
        listed=lambda: state_names(connection, database),
        create=lambda: execute(definition(CreateSchema(SCHEMA, if_not_exists=True)), ()),
        database=database,
    )


def state_names(connection: Connection, database: str) -> set[str]:
    """The existing tables of the state; if `tables` is missing, every table in its schema."""
    sql = "SELECT 1 AS found FROM duckdb_schemas() WHERE database_name = $1 AND schema_name = $2"
    if not run(connection, sql, [database, SCHEMA]):
        return set()
    names = [table.name for table in all_tables()]
    present = {name for name in names if describe(connection, Target(SCHEMA, name, database))}
    if tables.name in present:
        return present
    sql = "SELECT table_name FROM duckdb_tables() WHERE database_name = $1 AND schema_name = $2"
    return {row["table_name"] for row in run(connection, sql, [database, SCHEMA])}
