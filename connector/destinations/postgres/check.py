"""Tries what a run does in Postgres, in transactions that are rolled back."""

from collections.abc import Sequence
from secrets import randbelow, token_hex

import pyarrow as pa

from connector.core.names import CHANGED_AT, COMMIT
from connector.core.schema import Kind
from connector.core.state import Column
from connector.destinations import trial
from connector.destinations.postgres import schema as postgres_schema
from connector.destinations.postgres.session.connection import Connection
from connector.destinations.sql import Target, quoted

SHORTLY = "SELECT set_config('lock_timeout', '500ms', true)"
"""Short, since others who need the same table wait behind us."""

_VALUES = {
    Kind.STRING: "{}::text",
    Kind.INTEGER: "{}::text::bigint",
    Kind.DECIMAL: "{}::text::numeric",
    Kind.NUMBER: "{}::text::numeric",
    Kind.BINARY: "decode({}::text, 'hex')",
}


def load(connection: Connection, target: Target) -> None:
    """Does what a first load does, to a table that was just created."""
    rows = pa.table({"id": ["a"], COMMIT: [0]})
    connection.stage(rows, trial.mark())
    postgres_schema.drop_key(connection, target)
    connection.ingest(rows, target.name, target.schema)
    postgres_schema.try_key(connection, target, ["id"])


def use(connection: Connection, target: Target, key: Sequence[Column]) -> None:
    """Inserts and deletes a row; if row level security would hide it, Postgres raises an error."""
    places = [_VALUES[part.type.kind].format(f"${n}") for n, part in enumerate(key, 1)]
    names = [quoted(part.name) for part in key]
    values = [_value(part) for part in key]
    connection.run(
        f"INSERT INTO {target.sql} ({', '.join(names)}, {quoted(CHANGED_AT)}, "
        f"{quoted(COMMIT)}) VALUES ({', '.join(places)}, now(), 0)",
        values,
    )
    same = " AND ".join(f"{n} = {p}" for n, p in zip(names, places, strict=True))
    connection.changed(f"DELETE FROM {target.sql} WHERE {same}", values)


def _value(part: Column) -> str:
    if part.type.kind is Kind.STRING:
        return trial.mark()
    if part.type.kind is Kind.BINARY:
        return token_hex(32)
    return str(-randbelow(2**62))
