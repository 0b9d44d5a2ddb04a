"""The tables of the state in Postgres, with their keys and indexes."""

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.ddl import ExecutableDDLElement

from connector.destinations.postgres.schema import create_schema
from connector.destinations.postgres.session.connection import Connection
from connector.destinations.state import tables as t

_STATE_KEYS = {
    "tables": ("table_name",),
    "cursors": ("table_name", "partition"),
    # An attribute's name may be longer than an index allows; its column's never is.
    "columns": ("table_name", "column_name"),
    "targets": ("table_name", "target"),
    "target_columns": ("table_name", "target", "column_name"),
    "runs": ("run_id", "table_name"),
    "migrations": ("version",),
}
_STATE_INDEXES = {
    "tombstones": ("table_name",),
    "quarantine": ("table_name", "generation"),
    "drift": ("table_name",),
}


def state_schema(connection: Connection) -> t.Schema:
    """The schema of the state, in the transaction of a connection."""
    return t.Schema(
        execute=connection.run_on_state,
        listed=lambda: state_names(connection),
        create=lambda: create_schema(connection, t.SCHEMA),
        creation=_creation,
    )


def state_names(connection: Connection) -> set[str]:
    """The existing tables of the state, whether or not this role may read them."""
    rows = connection.run(
        "SELECT c.relname::text AS name FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1",
        [t.SCHEMA],
    )
    return {row["name"] for row in rows}


def _creation(table: sa.Table) -> list[ExecutableDDLElement]:
    copy = table.to_metadata(sa.MetaData(schema=t.SCHEMA))
    if key := _STATE_KEYS.get(table.name):
        copy.append_constraint(sa.PrimaryKeyConstraint(*(copy.c[name] for name in key)))
    columns = _STATE_INDEXES.get(table.name, ())
    indexes = [sa.Index(f"{table.name}_by_table", *(copy.c[n] for n in columns))] if columns else []
    return [CreateTable(copy), *map(CreateIndex, indexes)]
