"""The columns of a replicated table in DuckDB: made, adopted, compared and widened."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from connector.core.keys import KeySchema
from connector.core.names import CHANGED_AT, COMMIT, DELETED, REST, SERVICE, assign
from connector.core.schema import (
    BINARY,
    BOOLEAN,
    DECIMAL_DIGITS,
    INTEGER,
    JSON,
    NULL,
    NUMBER,
    STRING,
    Kind,
    Type,
    join,
)
from connector.core.state import Column
from connector.destinations.duckdb_connection import Connection, run
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
from connector.errors import DestinationRefused

SERVICE_TYPES = {CHANGED_AT: CHANGED_AT_TYPE, COMMIT: COMMIT_TYPE}

_OPTIONAL = {REST: REST_TYPE, DELETED: DELETED_TYPE}

_KEY_TYPES = {"S": STRING, "N": INTEGER, "B": BINARY}
_ADOPTED = {
    "VARCHAR": STRING,
    "BIGINT": INTEGER,
    "JSON": JSON,
    "BLOB": BINARY,
    "BOOLEAN": BOOLEAN,
    **{
        f"DECIMAL({DECIMAL_DIGITS},{scale})": Type(Kind.DECIMAL, DECIMAL_DIGITS - scale, scale)
        for scale in range(DECIMAL_DIGITS + 1)
    },
}
_ADOPTED_KEYS = {
    "S": {Kind.STRING},
    "N": {Kind.INTEGER, Kind.DECIMAL, Kind.JSON},
    "B": {Kind.BINARY},
}


def describe(connection: Connection, target: Target) -> dict[str, str]:
    """SQL types by column as the table has them now; empty where there is no such table."""
    found = run(
        connection,
        "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns "
        "WHERE lower(table_schema) = lower($1) AND lower(table_name) = lower($2) "
        "AND table_catalog = current_database() ORDER BY ordinal_position",
        [target.schema, target.name],
    )
    wanted = _folded(target.schema, target.name)
    return {
        row["column_name"]: row["data_type"]
        for row in found
        if _folded(row["table_schema"], row["table_name"]) == wanted
    }


def _folded(*names: str) -> tuple[str, ...]:
    return tuple(map(duckdb_fold, names))


def same_target(one: Target, other: Target) -> bool:
    """Whether DuckDB takes both for the same table."""
    return _folded(one.schema, one.name) == _folded(other.schema, other.name)


def key_columns(keys: KeySchema) -> dict[str, Column]:
    """The columns that a new table starts with."""
    names = assign([key.name for key in keys], {}, DUCKDB_RULES)
    return {key.name: Column(names[key.name], _KEY_TYPES[key.tag]) for key in keys}


def create(connection: Connection, target: Target, columns: Mapping[str, Column]) -> None:
    """Makes the table with its key columns, and its schema where absent."""
    types = {column.name: duckdb_type(column.type) for column in columns.values()}
    body = ", ".join(f"{quoted(name)} {sql}" for name, sql in (types | SERVICE_TYPES).items())
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(target.schema)}")
    connection.execute(f"CREATE TABLE {target.sql} ({body})")


def adopt(target: Target, actual: Mapping[str, str], keys: KeySchema) -> dict[str, Column]:
    """The columns of a table that the connector made but whose state was forgotten.

    Raises DestinationRefused where the connector did not make it, or for another key.
    """
    folded = {duckdb_fold(name): sql for name, sql in actual.items()}
    if any(folded.get(name) != sql for name, sql in SERVICE_TYPES.items()):
        raise DestinationRefused(
            f"The table {target} exists and was not made by the connector.",
            "Choose another name with `into`, or drop it.",
        )
    adopted = key_columns(keys)
    for key in keys:
        column = adopted[key.name]
        type_ = _ADOPTED.get(folded.get(duckdb_fold(column.name), ""), NULL)
        if type_.kind not in _ADOPTED_KEYS[key.tag]:
            raise DestinationRefused(
                f"The table {target} exists and has another key than its source.",
                "Choose another name with `into`, or drop it.",
            )
        adopted[key.name] = Column(column.name, NUMBER if type_.kind is Kind.JSON else type_)
    taken = {duckdb_fold(name) for name in (*SERVICE, *(c.name for c in adopted.values()))}
    for name, sql in actual.items():
        if duckdb_fold(name) not in taken and name not in adopted and sql in _ADOPTED:
            adopted[name] = Column(name, _ADOPTED[sql])
    return adopted


def verify(target: Target, actual: Mapping[str, str], columns: Mapping[str, Column]) -> None:
    """Raises DestinationRefused where a column is not as the connector left it."""
    folded = {duckdb_fold(name): sql for name, sql in actual.items()}
    wanted = {column.name: duckdb_type(column.type) for column in columns.values()}
    differences = [
        f"{name!r} should be {sql} and is {folded.get(duckdb_fold(name), 'gone')}"
        for name, sql in (wanted | SERVICE_TYPES).items()
        if folded.get(duckdb_fold(name)) != sql
    ]
    if differences:
        raise DestinationRefused(
            f"The table {target} was changed by somebody else: {'; '.join(differences[:5])}.",
            "Change it back, or run `connector reset` and take a new snapshot.",
        )


def has(actual: Mapping[str, str], service: str) -> bool:
    """Whether the table has a service column that not every table has."""
    return service in {duckdb_fold(name) for name in actual}


def add(connection: Connection, target: Target, service: str) -> None:
    """Adds a service column that not every table has."""
    sql = f"{quoted(service)} {_OPTIONAL[service]}"
    connection.execute(f"ALTER TABLE {target.sql} ADD COLUMN {sql}")


def grow(
    connection: Connection,
    target: Target,
    actual: Mapping[str, str],
    columns: Mapping[str, Column],
    wanted: Mapping[str, Type],
    max_columns: int,
) -> dict[str, Column]:
    """Adds and widens columns until they hold `wanted`; returns the new map.

    Attributes beyond `max_columns` get no column. Every value keeps its digits.
    """
    grown = dict(columns)
    for attribute, type_ in wanted.items():
        if attribute in columns:
            grown[attribute] = _widen(connection, target, columns[attribute], type_)
    room = max(0, max_columns - len(columns))
    new = [name for name, type_ in wanted.items() if name not in columns and type_ != NULL][:room]
    names = _assign(new, actual, columns)
    for attribute in new:
        column = Column(names[attribute], wanted[attribute])
        sql = f"{quoted(column.name)} {duckdb_type(column.type)}"
        connection.execute(f"ALTER TABLE {target.sql} ADD COLUMN {sql}")
        grown[attribute] = column
    return grown


def _assign(
    attributes: Iterable[str], actual: Mapping[str, str], columns: Mapping[str, Column]
) -> dict[str, str]:
    taken = {attribute: column.name for attribute, column in columns.items()}
    # A column that a user added keeps its name; an attribute of that name gets another.
    reserved = DUCKDB_RULES.reserved.union(map(duckdb_fold, actual))
    rules = replace(DUCKDB_RULES, reserved=reserved)
    return assign(attributes, taken, rules)


def _widen(connection: Connection, target: Target, column: Column, type_: Type) -> Column:
    widened = Column(column.name, join(column.type, type_))
    name = quoted(column.name)
    if duckdb_type(widened.type) != duckdb_type(column.type):
        using = duckdb_widened(name, column.type, widened.type)
        connection.execute(
            f"ALTER TABLE {target.sql} ALTER COLUMN {name} "
            f"TYPE {duckdb_type(widened.type)} USING {using}"
        )
    return widened
