"""Names and types of columns in Postgres."""

from collections.abc import Mapping

from connector.core.names import CHANGED_AT, COMMIT, DELETED, OP, REST, Rules
from connector.core.schema import Kind, Type
from connector.destinations.postgres.session.limits import NAME_BYTES
from connector.destinations.table.dialect import Dialect

MAX_COLUMNS = 1500
"""Postgres allows 1600; the others are for the service columns and a user's own columns."""

ALWAYS_FIT = 310
"""The number of columns that fit into a row, whatever their values are: see `postgres.layout`."""

_SYSTEM = frozenset({"ctid", "oid", "tableoid", "xmin", "xmax", "cmin", "cmax"})

_MOMENT = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'

_TYPES: Mapping[Kind, str] = {
    Kind.INTEGER: "bigint",
    Kind.DECIMAL: "numeric",
    Kind.NUMBER: "numeric",
    Kind.STRING: "text",
    Kind.BOOLEAN: "boolean",
    Kind.BINARY: "bytea",
    Kind.JSON: "jsonb",
    Kind.TIMESTAMP: "timestamp with time zone",
    Kind.DATE: "date",
    Kind.UUID: "uuid",
}


def postgres_type(type_: Type) -> str:
    """The SQL type that holds every value of `type_` exactly, such as numeric without precision."""
    if type_.kind is Kind.FIXED:
        return f"numeric({type_.whole + type_.scale},{type_.scale})"
    return _TYPES[type_.kind]


def canonical_digits(expression: str) -> str:
    """A numeric without trailing zeros."""
    return f"trim_scale({expression})"


def base64(expression: str) -> str:
    """The base64 of a bytea on one line; `encode` breaks it."""
    return f"translate(encode({expression}, 'base64'), E'\\n', '')"


def widened(expression: str, have: Type, want: Type) -> str:
    """The same value in a type that is above its own in the lattice."""
    if want.kind in (Kind.DECIMAL, Kind.NUMBER):
        return f"{expression}::numeric"
    if have.kind in (Kind.DECIMAL, Kind.NUMBER, Kind.FIXED):
        return f"to_jsonb({canonical_digits(expression)})"
    if have.kind is Kind.BINARY:
        return f"to_jsonb({base64(expression)})"
    if have.kind is Kind.TIMESTAMP:
        return f"to_jsonb(to_char({expression} AT TIME ZONE 'UTC', '{_MOMENT}'))"
    return f"to_jsonb({expression})"


def staged_value(expression: str, type_: Type) -> str:
    """A staged value, converted from ADBC's type to the type of its column."""
    if type_.kind is Kind.JSON:
        return f"{expression}::jsonb"
    if type_.kind is Kind.NUMBER:
        return f"{expression}::text::numeric"
    if type_.kind is Kind.UUID:
        return f"{expression}::uuid"
    if type_.kind is Kind.STRING:
        # Keys compare by their bytes, whatever language the database sorts in.
        return f'{expression} COLLATE "C"'
    return expression


def _sent(expression: str, type_: Type) -> str:
    if type_.kind in (Kind.DECIMAL, Kind.NUMBER, Kind.FIXED):
        return f"{canonical_digits(expression)}::text"
    return f"{expression}::text" if type_.kind in (Kind.JSON, Kind.UUID) else expression


def _micros(expression: str) -> str:
    return f"(extract(epoch FROM {expression}) * 1000000)::bigint"


POSTGRES = Dialect(
    rules=Rules(fold=str, max_bytes=NAME_BYTES, reserved=_SYSTEM, refused="\0"),
    type_of=postgres_type,
    widened=widened,
    service={CHANGED_AT: "timestamp with time zone", COMMIT: "bigint"},
    optional={
        REST: "jsonb",
        DELETED: "boolean DEFAULT false",
        OP: "text DEFAULT 'snapshot'",
    },
    staged=staged_value,
    micros=_micros,
    max_columns=MAX_COLUMNS,
    # Names that differ only in case are two tables here, but perhaps not where the data goes next.
    table_fold=str.lower,
    sent=_sent,
    always_fit=ALWAYS_FIT,
    columns_at_once=MAX_COLUMNS,
)
