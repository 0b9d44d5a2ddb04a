"""Replicated tables in DuckDB: described and made."""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
from sqlalchemy.schema import CreateSchema, CreateTable

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
from connector.core.state import Column, Plan
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
from connector.destinations.table import columns as table_columns
from connector.destinations.table.dialect import Dialect
from connector.errors import ConfigError

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
    max_columns=sys.maxsize,
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
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {target.schema_sql}")
    connection.execute(f"CREATE TABLE {target.sql} ({body})")


class DuckDBTables:
    """The replicated tables of a DuckDB file, in the transaction of a connection."""

    dialect = DUCKDB

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, sql: str) -> object:
        """Runs a statement that has no answer."""
        return self._connection.execute(sql)

    def actual(self, target: Target) -> Mapping[str, str]:
        """SQL types by column; empty where there is no such table."""
        return describe(self._connection, target)

    def taken(self, target: Target) -> bool:
        """Whether a table or a view has this name."""
        return bool(self.actual(target))

    def same(self, one: Target, other: Target) -> bool:
        """Whether DuckDB takes both for the same table."""
        return same_target(one, other)

    def move(self, have: Target, want: Target) -> None:
        """Renames a table; into another schema it is copied, which DuckDB has no other way for."""
        if duckdb_fold(have.schema) == duckdb_fold(want.schema):
            self._refuse(have, "duckdb_indexes", "an index")
            if have.name != want.name:
                self.run(f"ALTER TABLE {have.sql} RENAME TO {quoted(want.name)}")
            return
        for where, what in (("duckdb_indexes", "an index"), ("duckdb_constraints", "a constraint")):
            self._refuse(have, where, what)
        self.run(f"CREATE SCHEMA IF NOT EXISTS {want.schema_sql}")
        body = ", ".join(
            f"{quoted(name)} {DELETED_TYPE if self._is_mark(have, name) else sql}"
            for name, sql in self.actual(have).items()
        )
        self.run(f"CREATE TABLE {want.sql} ({body})")
        self.run(f"INSERT INTO {want.sql} SELECT * FROM {have.sql}")
        self.run(f"DROP TABLE {have.sql}")

    def _refuse(self, target: Target, where: str, what: str) -> None:
        """Raises ConfigError where the table has what would stay behind."""
        sql = f"SELECT 1 AS found FROM {where}() WHERE {_IS_TARGET}"
        if run(self._connection, sql, [target.schema, target.name, target.database]):
            raise ConfigError(
                f"The table {target} has {what}, so it cannot get another name.",
                "Nothing was changed. Drop it and run again, or keep the old name.",
            )

    def marked(self, target: Target, since: int) -> bool:
        """Whether a row is marked as deleted by a commit after `since`."""
        sql = (
            f"SELECT 1 FROM {target.sql} WHERE {quoted(DELETED)} AND {quoted(COMMIT)} > $1 LIMIT 1"
        )
        return bool(run(self._connection, sql, [since]))

    def create(self, target: Target, columns: Mapping[str, Column]) -> None:
        """Makes a table with its key columns."""
        create(self._connection, target, columns)

    def adopt(self, target: Target, plan: Plan) -> dict[str, Column]:
        """The columns of a table whose state was forgotten."""
        actual = self.actual(target)
        marked = self._is_mark(target, DELETED)
        return table_columns.adopt(DUCKDB, target, actual, plan.identity.keys, marked)

    def _is_mark(self, target: Target, name: str) -> bool:
        """Whether a column marks rows: an attribute's has no default."""
        if duckdb_fold(name) != DELETED:
            return False
        found = run(
            self._connection,
            "SELECT column_default AS told FROM duckdb_columns() "
            f"WHERE {_IS_TARGET} "
            "AND lower(column_name) = $4",
            [target.schema, target.name, target.database, DELETED],
        )
        return bool(found and found[0]["told"])

    def verify(self, target: Target, columns: Mapping[str, Column], plan: Plan) -> None:
        """Raises DestinationRefused where a table is not as the connector left it."""
        table_columns.verify(DUCKDB, target, self.actual(target), columns)
