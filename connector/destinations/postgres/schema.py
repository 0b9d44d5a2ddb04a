"""Replicated tables in Postgres: described and created."""

from collections.abc import Mapping, Sequence
from itertools import count

from connector.core.schema import Kind
from connector.core.state import Column
from connector.destinations.database import Found
from connector.destinations.postgres.session.connection import Connection
from connector.destinations.postgres.session.limits import NAME_BYTES
from connector.destinations.postgres.types import POSTGRES, postgres_type
from connector.destinations.sql import Target, quoted
from connector.errors import DestinationRefused


def describe(connection: Connection, target: Target) -> Found:
    """A table's columns with their SQL types, and its key.

    Raises DestinationRefused if it is not a table, or if this role does not own it.
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
            f"{target} exists and is not a table.", "Choose another name with `into`, or drop it."
        )
    if not relation[0]["owned"]:
        raise DestinationRefused(
            f"The table {target} belongs to another role, and only its owner may add columns.",
            "Use the role that created it, or ALTER TABLE … OWNER TO this role.",
        )
    return _described(connection, relation[0]["oid"])


def _described(connection: Connection, oid: int) -> Found:
    columns = connection.run(
        "SELECT attname::text AS name, format_type(atttypid, atttypmod) AS type "
        "FROM pg_attribute WHERE attrelid = $1::bigint::oid AND attnum > 0 AND NOT attisdropped "
        "ORDER BY attnum",
        [oid],
    )
    key = connection.run(
        "SELECT a.attname::text AS part "
        "FROM pg_constraint k CROSS JOIN unnest(k.conkey) WITH ORDINALITY AS p(number, place) "
        "JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.number "
        "WHERE k.conrelid = $1::bigint::oid AND k.contype = 'p' ORDER BY p.place",
        [oid],
    )
    return Found({row["name"]: row["type"] for row in columns}, tuple(row["part"] for row in key))


def has_default(connection: Connection, target: Target, column: str) -> bool:
    """Whether a column has a default."""
    return bool(
        connection.run(
            "SELECT 1 AS found FROM pg_attribute a "
            "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = $3 AND a.atthasdef",
            [target.schema, target.name, column],
        )
    )


def comments(connection: Connection, target: Target) -> dict[str, str]:
    """The comments on the columns of a table or a view, by column."""
    found = connection.run(
        "SELECT a.attname::text AS name, t.description AS text FROM pg_description t "
        "JOIN pg_attribute a ON a.attrelid = t.objoid AND a.attnum = t.objsubid "
        "JOIN pg_class c ON c.oid = t.objoid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE t.classoid = 'pg_class'::regclass AND a.attnum > 0 "
        "AND n.nspname = $1 AND c.relname = $2",
        [target.schema, target.name],
    )
    return {row["name"]: row["text"] for row in found}


def taken(connection: Connection, target: Target) -> bool:
    """Whether a table, or anything else that may not share its name, has this name."""
    sql = (
        "SELECT 1 AS found FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = $1 AND c.relname = $2"
    )
    return bool(connection.run(sql, [target.schema, target.name]))


def used(connection: Connection, target: Target) -> bool:
    """Whether something that others created depends on a table's service columns.

    That may be a view, an index, a trigger, statistics, a grant, a comment or a parent's column.
    """
    found = connection.run(
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
    return bool(found)


def create(connection: Connection, target: Target, columns: Mapping[str, Column]) -> None:
    """Creates the table with its key columns, and its schema if absent."""
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
    """Makes `columns` the primary key; returns False if two rows share a key, without an effect."""
    adding = _key_sql(target, columns)
    block = f"BEGIN {adding}; EXCEPTION WHEN unique_violation THEN NULL; END"
    mark = next(each for n in count() if (each := f"$try{n}$") not in block)
    # After a failed statement ADBC runs nothing more in the transaction, not even a rollback to a
    # savepoint. A block on the server can fail without that.
    connection.execute(f"DO {mark}{block}{mark}")
    return bool(describe(connection, target).key)


def drop_key(connection: Connection, target: Target) -> None:
    """Drops the primary key."""
    found = connection.run(
        "SELECT k.conname::text AS name FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = $1 AND c.relname = $2 AND k.contype = 'p'",
        [target.schema, target.name],
    )
    connection.execute(f"ALTER TABLE {target.sql} DROP CONSTRAINT {quoted(found[0]['name'])}")


def _key_type(column: Column) -> str:
    # Bytes sort the same on every system, so that no upgrade of a system breaks the index.
    collation = ' COLLATE "C"' if column.type.kind is Kind.STRING else ""
    return postgres_type(column.type) + collation


def create_schema(connection: Connection, schema: str) -> None:
    """Creates a schema if absent; only then does the role need the privilege for it."""
    found = connection.run("SELECT 1 AS found FROM pg_namespace WHERE nspname = $1", [schema])
    if not found:
        connection.execute(f"CREATE SCHEMA {quoted(schema)}")


def view_columns(connection: Connection, view: Target) -> dict[str, str]:
    """The columns of a view, or of a table, in order; none if it is not there.

    Their SQL types have a collation that is not the type's own: a view that is replaced keeps it.
    """
    rows = connection.run(
        "SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) || "
        "coalesce(' COLLATE ' || quote_ident(l.collname), '') AS type "
        "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type t ON t.oid = a.atttypid "
        "LEFT JOIN pg_collation l ON l.oid = a.attcollation AND l.oid <> t.typcollation "
        "WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('v', 'r', 'p') "
        "AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        [view.schema, view.name],
    )
    return {row["name"]: row["type"] for row in rows}


def grants_on(connection: Connection, view: Target) -> list[str]:
    """The statements that grant again what others may do with a view."""
    rows = connection.run(
        "SELECT coalesce(r.rolname::text, '') AS role, g.privilege_type::text AS privilege, "
        "g.is_grantable AS grantable FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN aclexplode(c.relacl) AS g "
        "LEFT JOIN pg_roles r ON r.oid = g.grantee "
        "WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'v' AND g.grantee <> c.relowner",
        [view.schema, view.name],
    )
    return [
        f"GRANT {row['privilege']} ON {view.sql} TO "
        f"{quoted(row['role']) if row['role'] else 'PUBLIC'}"
        f"{' WITH GRANT OPTION' if row['grantable'] else ''}"
        for row in rows
    ]
