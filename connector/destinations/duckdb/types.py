"""Names and types of columns in DuckDB."""

import sys
from collections.abc import Mapping

from connector.core.names import CHANGED_AT, COMMIT, DELETED, OP, REST, Rules
from connector.core.schema import DECIMAL_DIGITS, Kind, Type
from connector.destinations.sql import OUTER, STAGED
from connector.destinations.table.dialect import Dialect

SURPLUS = "_connector_surplus"
"""A column of a temporary table, beside those of a key."""

# With a default, so that rows from a statement that does not know the column are not NULL.
DELETED_TYPE = "BOOLEAN DEFAULT false"
OP_TYPE = "VARCHAR DEFAULT 'snapshot'"

_UPPER_TO_LOWER = {ord(upper): ord(upper) + 32 for upper in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}

_MOMENT = "%Y-%m-%dT%H:%M:%S.%fZ"

_TYPES: Mapping[Kind, str] = {
    Kind.INTEGER: "BIGINT",
    Kind.NUMBER: "JSON",
    Kind.STRING: "VARCHAR",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.BINARY: "BLOB",
    Kind.JSON: "JSON",
    Kind.TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
    Kind.DATE: "DATE",
    Kind.UUID: "UUID",
}


def duckdb_fold(name: str) -> str:
    """The form in which DuckDB compares names of columns: it ignores case in ASCII only."""
    return name.translate(_UPPER_TO_LOWER)


def duckdb_type(type_: Type) -> str:
    """The SQL type that holds every value of `type_` exactly, in DuckDB's own spelling."""
    if type_.kind is Kind.DECIMAL:
        return f"DECIMAL({DECIMAL_DIGITS},{type_.scale})"
    if type_.kind is Kind.FIXED:
        return f"DECIMAL({type_.whole + type_.scale},{type_.scale})"
    return _TYPES[type_.kind]


def canonical_digits(expression: str, type_: Type) -> str:
    """The canonical text of a number column, as in `core.texts.canonical_decimal`."""
    text = f"CAST({expression} AS VARCHAR)"
    if type_.kind not in (Kind.DECIMAL, Kind.FIXED):
        return text
    if type_.kind is Kind.FIXED and not type_.whole:
        # Without a digit before the point, the text begins with it.
        text = f"replace({text}, '.', '0.')"
    return f"CASE WHEN contains({text}, '.') THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END"


def widened(expression: str, have: Type, want: Type) -> str:
    """The same value in a type that is above its own in the lattice."""
    if want.kind is Kind.DECIMAL:
        return f"CAST({expression} AS {duckdb_type(want)})"
    if have.kind in (Kind.INTEGER, Kind.DECIMAL, Kind.FIXED):
        return f"CAST({canonical_digits(expression, have)} AS JSON)"
    if have.kind is Kind.BINARY:
        return f"to_json(to_base64({expression}))"
    if have.kind is Kind.TIMESTAMP:
        # Without a time zone, which would need an extension, and depend on the session.
        return f"to_json(strftime(make_timestamp(epoch_us({expression})), '{_MOMENT}'))"
    return f"to_json({expression})"


def _sent(expression: str, type_: Type) -> str:
    return f"CAST({expression} AS VARCHAR)" if type_.kind is Kind.UUID else expression


DUCKDB = Dialect(
    # DynamoDB's own limit on attribute names is 65,535 bytes, and DuckDB holds all of them.
    rules=Rules(fold=duckdb_fold, max_bytes=65_535, reserved=frozenset((STAGED, OUTER, SURPLUS))),
    type_of=duckdb_type,
    widened=widened,
    sent=_sent,
    service={CHANGED_AT: "TIMESTAMP WITH TIME ZONE", COMMIT: "BIGINT"},
    optional={REST: "JSON", DELETED: DELETED_TYPE, OP: OP_TYPE},
    max_columns=sys.maxsize,
    table_fold=duckdb_fold,
)
