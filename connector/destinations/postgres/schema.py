"""Replicated tables in Postgres: found, made and compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from uuid import uuid4

from connector.core.keys import KeySchema
from connector.core.names import COMMIT, DELETED
from connector.core.schema import Kind
from connector.core.state import Column, Plan
from connector.destinations.postgres.session.connection import Connection
from connector.destinations.postgres.session.limits import NAME_BYTES
from connector.destinations.postgres.types import POSTGRES, postgres_type
from connector.destinations.sql import Target, quoted
from connector.destinations.table import columns as table_columns
from connector.errors import DestinationRefused


@dataclass(frozen=True)
class Found:
    """A table as it is now; `columns` is empty where there is none."""

    columns: Mapping[str, str] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    """The columns of its primary key, in order."""
    constraint: str = ""
    """The name of its primary key."""
    defaults: frozenset[str] = frozenset()
    """The columns that have a default."""


def describe(connection: Connection, target: Target) -> Found:
    """A table's columns with their SQL types, and its key.

    Raises DestinationRefused where it is no table, or one that this role does not own.
    """
    relation = connection.run(
        "SELECT c.oid::bigint AS oid, c.relkind::text AS kind, "
        "pg_has_role(c.relowner, 'USAGE') AS owned "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = $1 AND c.relname = $2",
        [target.schema, target.name],
    )
    if not relation:
        return Found()
    if relation[0]["kind"] != "r":
        raise DestinationRefused(
            f"{target} exists and is no table.", "Choose another name with `into`, or drop it."
        )
    if not relation[0]["owned"]:
        raise DestinationRefused(
            f"The table {target} belongs to another role, and only its owner may add columns.",
            "Use the role that made it, or ALTER TABLE … OWNER TO this role.",
        )
    return _described(connection, relation[0]["oid"])


def _described(connection: Connection, oid: int) -> Found:
    columns = connection.run(
        "SELECT attname::text AS name, format_type(atttypid, atttypmod) AS type, "
        "atthasdef AS defaulted "
        "FROM pg_attribute WHERE attrelid = $1::bigint::oid AND attnum > 0 AND NOT attisdropped "
        "ORDER BY attnum",
        [oid],
    )
    key = connection.run(
        "SELECT k.conname::text AS name, a.attname::text AS part "
        "FROM pg_constraint k CROSS JOIN unnest(k.conkey) WITH ORDINALITY AS p(number, place) "
        "JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.number "
        "WHERE k.conrelid = $1::bigint::oid AND k.contype = 'p' ORDER BY p.place",
        [oid],
    )
    return Found(
        {row["name"]: row["type"] for row in columns},
        tuple(row["part"] for row in key),
        key[0]["name"] if key else "",
        frozenset(row["name"] for row in columns if row["defaulted"]),
    )


def unused(connection: Connection, target: Target) -> bool:
    """Whether a table is empty, and nothing of anybody else depends on its service columns.

    That may be a view, an index, a trigger, statistics, a grant, a comment or a parent's column.
    """
    if connection.run(f"SELECT 1 AS found FROM {target.sql} LIMIT 1"):
        return False
    used = connection.run(
        "SELECT 1 AS found FROM pg_attribute a "
        "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = ANY (string_to_array($3, ',')) "
        "AND (a.attacl IS NOT NULL OR a.attinhcount > 0 "
        "OR EXISTS (SELECT 1 FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass "
        "AND d.refobjid = c.oid AND d.refobjsubid = a.attnum) "
        "OR EXISTS (SELECT 1 FROM pg_description t WHERE t.classoid = 'pg_class'::regclass "
        "AND t.objoid = c.oid AND t.objsubid = a.attnum)) LIMIT 1",
        [target.schema, target.name, ",".join(POSTGRES.service)],
    )
    return not used


def create(connection: Connection, target: Target, columns: Mapping[str, Column]) -> None:
    """Makes the table with its key columns, and its schema where absent."""
    for name in (target.schema, target.name):
        if len(name.encode()) > NAME_BYTES:
            raise DestinationRefused(
                f"The name {name} is longer than the {NAME_BYTES} bytes that Postgres allows.",
                "Give the table a shorter name with `into`.",
            )
    create_schema(connection, target.schema)
    body = [f"{quoted(column.name)} {_key_type(column)} NOT NULL" for column in columns.values()]
    body += [f"{quoted(name)} {sql}" for name, sql in POSTGRES.service.items()]
    connection.execute(f"CREATE TABLE {target.sql} ({', '.join(body)})")
    add_key(connection, target, [column.name for column in columns.values()])


def add_key(connection: Connection, target: Target, columns: Sequence[str]) -> None:
    """Makes `columns` the primary key."""
    connection.execute(_key_sql(target, columns))


def _key_sql(target: Target, columns: Sequence[str]) -> str:
    return f"ALTER TABLE {target.sql} ADD PRIMARY KEY ({', '.join(map(quoted, columns))})"


def try_key(connection: Connection, target: Target, columns: Sequence[str]) -> bool:
    """Makes `columns` the primary key; False where two rows have the same, and nothing is made."""
    adding = _key_sql(target, columns)
    block = f"BEGIN {adding}; EXCEPTION WHEN unique_violation THEN NULL; END"
    mark = next(each for n in count() if (each := f"$try{n}$") not in block)
    # ADBC runs nothing more in a transaction in which a statement failed, not even a rollback to a
    # savepoint. A block of the server's own can fail by itself.
    connection.execute(f"DO {mark}{block}{mark}")
    return bool(describe(connection, target).key)


def drop_key(connection: Connection, target: Target, found: Found) -> None:
    """Drops the primary key."""
    connection.execute(f"ALTER TABLE {target.sql} DROP CONSTRAINT {quoted(found.constraint)}")


def _key_type(column: Column) -> str:
    # Bytes sort the same on every system, so that no upgrade of it breaks the index.
    collation = ' COLLATE "C"' if column.type.kind is Kind.STRING else ""
    return postgres_type(column.type) + collation


def create_schema(connection: Connection, schema: str) -> None:
    """Makes a schema where absent; only then does the role need the privilege for it."""
    found = connection.run("SELECT 1 AS found FROM pg_namespace WHERE nspname = $1", [schema])
    if not found:
        connection.execute(f"CREATE SCHEMA {quoted(schema)}")


def verify(target: Target, found: Found, columns: Mapping[str, Column], keys: KeySchema) -> None:
    """Raises DestinationRefused where a column or the key is not as the connector left it."""
    table_columns.verify(POSTGRES, target, found.columns, columns)
    if not has_key(found, columns, keys):
        raise table_columns.changed_by_hand(target, "its primary key is gone, or another one")


def adopt(target: Target, found: Found, keys: KeySchema) -> dict[str, Column]:
    """The columns of a table that the connector made but whose state was forgotten."""
    marked = DELETED in found.defaults
    adopted = table_columns.adopt(POSTGRES, target, found.columns, keys, marked)
    if not has_key(found, adopted, keys):
        raise DestinationRefused(
            f"The table {target} exists and has another primary key than its source.",
            "Choose another name with `into`, or drop it.",
        )
    return adopted


def same_target(one: Target, other: Target) -> bool:
    """Names that differ in case only are two tables here, but not wherever the data goes next."""
    return (one.schema.lower(), one.name.lower()) == (other.schema.lower(), other.name.lower())


def has_key(found: Found, columns: Mapping[str, Column], keys: KeySchema) -> bool:
    """Whether the source's key is the table's."""
    return found.key == tuple(columns[key.name].name for key in keys)


class PostgresTables:
    """The replicated tables of a Postgres database, in the transaction of a connection."""

    dialect = POSTGRES

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, sql: str) -> object:
        """Runs a statement that has no answer."""
        return self._connection.run(sql)

    def actual(self, target: Target) -> Mapping[str, str]:
        """SQL types by column; empty where there is no such table."""
        return describe(self._connection, target).columns

    def taken(self, target: Target) -> bool:
        """Whether a table, or anything else that may not share its name, has this name."""
        sql = (
            "SELECT 1 AS found FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = $1 AND c.relname = $2"
        )
        return bool(self._connection.run(sql, [target.schema, target.name]))

    def same(self, one: Target, other: Target) -> bool:
        """Whether two source tables may not go to these two."""
        return same_target(one, other)

    def move(self, have: Target, want: Target) -> None:
        """Renames a table; its key, its indexes and the views on it stay."""
        moving = have
        if have.schema != want.schema:
            create_schema(self._connection, want.schema)
            # Its old name may be taken in the new schema, and its new name in the old one.
            moving = Target(have.schema, f"_connector_moving_{uuid4().hex[:8]}")
            self.run(f"ALTER TABLE {have.sql} RENAME TO {quoted(moving.name)}")
            self.run(f"ALTER TABLE {moving.sql} SET SCHEMA {quoted(want.schema)}")
            moving = Target(want.schema, moving.name)
        if moving.name != want.name:
            self.run(f"ALTER TABLE {moving.sql} RENAME TO {quoted(want.name)}")

    def marked(self, target: Target, since: int) -> bool:
        """Whether a row is marked as deleted by a commit after `since`."""
        sql = (
            f"SELECT 1 AS found FROM {target.sql} "
            f"WHERE {quoted(DELETED)} AND {quoted(COMMIT)} > $1::bigint LIMIT 1"
        )
        return bool(self._connection.run(sql, [since]))

    def create(self, target: Target, columns: Mapping[str, Column]) -> None:
        """Makes a table with its key columns."""
        create(self._connection, target, columns)

    def adopt(self, target: Target, plan: Plan) -> dict[str, Column]:
        """The columns of a table whose state was forgotten."""
        return adopt(target, describe(self._connection, target), plan.identity.keys)

    def verify(self, target: Target, columns: Mapping[str, Column], plan: Plan) -> None:
        """Raises DestinationRefused where a table is not as the connector left it."""
        verify(target, describe(self._connection, target), columns, plan.identity.keys)
