"""The tables of the state in DuckDB."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy.schema import CreateSchema

from connector.destinations.duckdb.session.connection import (
    Connection,
    database_of,
    run_often,
    run_on_state,
)
from connector.destinations.sql import quoted
from connector.destinations.state.tables import SCHEMA, Schema, definition

# Statements on the state contain only our own names: everything else is a parameter.
_STATE = re.compile(rf'"{SCHEMA}"|(?<![\w"]){SCHEMA}(?![\w"])')


def state_schema(connection: Connection) -> Schema:
    """The schema of the state, in the transaction of a connection."""
    database = database_of(connection)
    qualified = quoted(database, SCHEMA)

    def execute(sql: str, parameters: Sequence[Any]) -> list[dict[str, Any]]:
        return run_on_state(connection, _qualified(sql, qualified), parameters)

    return Schema(
        execute=execute,
        listed=lambda: state_names(connection, database),
        create=lambda: execute(definition(CreateSchema(SCHEMA, if_not_exists=True)), ()),
        database=database,
    )


@lru_cache(64)
def _qualified(sql: str, schema: str) -> str:
    return _STATE.sub(lambda _: schema, sql)


def state_names(connection: Connection, database: str) -> set[str]:
    """The existing tables in the schema of the state."""
    sql = "SELECT table_name FROM duckdb_tables() WHERE database_name = $1 AND schema_name = $2"
    return {row["table_name"] for row in run_often(connection, sql, [database, SCHEMA])}
