"""Tries in Postgres what a run does there, in transactions that are rolled back."""

from collections.abc import Iterator, Sequence
from secrets import randbelow, token_hex

import pyarrow as pa

from connector.core.names import CHANGED_AT, COMMIT
from connector.core.needs import Need, Wanted
from connector.core.schema import Kind
from connector.core.spec import TableSpec
from connector.core.state import Column
from connector.destinations import trial
from connector.destinations.postgres import schema as postgres_schema
from connector.destinations.postgres.schema import Found
from connector.destinations.postgres.session.connection import Connection, PostgresServer
from connector.destinations.postgres.state import state_schema
from connector.destinations.postgres.types import POSTGRES
from connector.destinations.sql import Target, quoted
from connector.destinations.state.store import State
from connector.destinations.table import columns as table_columns
from connector.errors import Busy

_SHORTLY = "SELECT set_config('lock_timeout', '500ms', true)"
"""Whoever waits for the same table waits behind us."""

_VALUES = {
    Kind.STRING: "{}::text",
    Kind.INTEGER: "{}::text::bigint",
    Kind.DECIMAL: "{}::text::numeric",
    Kind.NUMBER: "{}::text::numeric",
    Kind.BINARY: "decode({}::text, 'hex')",
}


class PostgresCheck:
    """The needs of runs that write to one schema of a server."""

    def __init__(self, server: PostgresServer, schema: str) -> None:
        self._server = server
        self._schema = schema

    def needs(self, tables: Sequence[Wanted]) -> Iterator[Need]:
        """Each need, tried in a transaction of its own: one that failed ends its transaction."""
        return trial.needs(self._opened, self._state, self._made, self._table, tables)

    def _opened(self) -> str:
        with self._server.open() as connection:
            found = connection.run("SELECT current_setting('server_version') AS version")
        return f"PostgreSQL {found[0]['version']}, {self._server.shown}"

    def _state(self) -> str:
        with self._server.open() as connection:
            state = _state_in(connection)
            known = state.tables() if state.exists() else None
            if state.outdated:
                state.migrate()
            state.create()
            trial.try_state(connection.run_on_state)
        return trial.of_the_state(known)

    def _made(self) -> str:
        """A table of ours from its first statement to its last."""
        target = trial.throw_away(self._schema)
        with self._server.open() as connection:
            postgres_schema.create(
                connection, target, table_columns.key_columns(POSTGRES, trial.KEY, TableSpec())
            )
            found = postgres_schema.describe(connection, target)
            rows = pa.table({"id": ["a"], COMMIT: [0]})
            connection.stage(rows, trial.mark())
            postgres_schema.drop_key(connection, target, found)
            connection.ingest(rows, target.name, target.schema)
            postgres_schema.try_key(connection, target, ["id"])
            trial.try_columns(POSTGRES, connection.execute, target, dict(found.columns))
            connection.changed(f"DELETE FROM {target.sql}")
        return f"a table, columns and rows can be made in the schema {self._schema}"

    def _table(self, wanted: Wanted) -> str:
        with self._server.open() as connection:
            state = _state_in(connection)
            place = trial.place(state, wanted, self._schema, postgres_schema.same_target)
            found = postgres_schema.describe(connection, place.target)
            if place.columns is not None:
                postgres_schema.verify(place.target, found, place.columns, place.keys)
            elif not found.columns or not place.keys:
                return trial.not_ours_yet(place, bool(found.columns))
            columns = place.columns or postgres_schema.adopt(place.target, found, place.keys)
            self._use(connection, place.target, [columns[key.name] for key in place.keys])
            return self._grow(connection, place.target, found)

    def _use(self, connection: Connection, target: Target, key: Sequence[Column]) -> None:
        """Takes a row in and out; where row level security would hide it, Postgres says so."""
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

    def _grow(self, connection: Connection, target: Target, found: Found) -> str:
        rows = f"{target} takes rows and columns ({len(found.columns)} so far)"
        connection.run(_SHORTLY)
        try:
            trial.try_column(POSTGRES, connection.execute, target)
        except Busy:
            # Postgres asks for the right to do it before it waits for the lock.
            return f"{rows}; no column was tried, since another session holds a lock"
        return rows


def _value(part: Column) -> str:
    if part.type.kind is Kind.STRING:
        return trial.mark()
    if part.type.kind is Kind.BINARY:
        return token_hex(32)
    return str(-randbelow(2**62))


def _state_in(connection: Connection) -> State:
    return State(state_schema(connection))
