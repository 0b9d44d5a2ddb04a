"""Column types as a small lattice: a table's schema only ever grows, to a join.

null < integer < decimal < number, and everything is below json; the join of two unordered kinds
is json. No step loses a digit, a byte or a character. A column whose type is declared has it from
the start, and only values of this type.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

DECIMAL_DIGITS = 38
INT64_DIGITS = 19


class Kind(StrEnum):
    """What a column holds; its Arrow and SQL types are derived from this."""

    NULL = "null"
    INTEGER = "integer"
    DECIMAL = "decimal"
    NUMBER = "number"
    STRING = "string"
    BOOLEAN = "boolean"
    BINARY = "binary"
    JSON = "json"
    FIXED = "fixed"
    """A declared decimal; its number of digits is part of the column's type."""
    TIMESTAMP = "timestamp"
    DATE = "date"
    UUID = "uuid"


@dataclass(frozen=True)
class Type:
    """A point of the lattice; `whole` and `scale` are the digits before and after the point."""

    kind: Kind
    whole: int = 0
    scale: int = 0

    @property
    def arrow(self) -> "pa.DataType":
        """The Arrow type that holds every value of this type exactly."""
        return _arrow(self)

    def text(self) -> str:
        """The type as text, for state tables and Arrow metadata; `parse_type` reads it back."""
        return f"{self.kind}({self.whole},{self.scale})" if self.kind in _DIGITS else self.kind


_DIGITS = (Kind.DECIMAL, Kind.FIXED)


@cache
def _arrow(type_: Type) -> "pa.DataType":
    # The configuration has types too, and does without a library that is slow to import.
    import pyarrow as pa

    if type_.kind is Kind.DECIMAL:
        return pa.decimal128(DECIMAL_DIGITS, type_.scale)
    if type_.kind is Kind.FIXED:
        return pa.decimal128(type_.whole + type_.scale, type_.scale)
    return {
        Kind.NULL: pa.null(),
        Kind.INTEGER: pa.int64(),
        Kind.NUMBER: pa.json_(),
        Kind.STRING: pa.string(),
        Kind.BOOLEAN: pa.bool_(),
        Kind.BINARY: pa.binary(),
        Kind.JSON: pa.json_(),
        Kind.TIMESTAMP: pa.timestamp("us", "UTC"),
        Kind.DATE: pa.date32(),
        # In the usual text, which databases read.
        Kind.UUID: pa.string(),
    }[type_.kind]


NULL = Type(Kind.NULL)
INTEGER = Type(Kind.INTEGER)
NUMBER = Type(Kind.NUMBER)
STRING = Type(Kind.STRING)
BOOLEAN = Type(Kind.BOOLEAN)
BINARY = Type(Kind.BINARY)
JSON = Type(Kind.JSON)
TIMESTAMP = Type(Kind.TIMESTAMP)
DATE = Type(Kind.DATE)
UUID = Type(Kind.UUID)

DECLARED_ONLY = (Kind.FIXED, Kind.TIMESTAMP, Kind.DATE, Kind.UUID)
"""Kinds that a column has only if that is declared."""

_NUMERIC = (Kind.INTEGER, Kind.DECIMAL, Kind.NUMBER)


def decimal_type(whole: int, scale: int) -> Type | None:
    """A decimal with these digits before and after the point, or None if they exceed 38."""
    return Type(Kind.DECIMAL, whole, scale) if whole + scale <= DECIMAL_DIGITS else None


def fixed_type(whole: int, scale: int) -> Type:
    """A declared decimal with these digits before and after the point."""
    return Type(Kind.FIXED, whole, scale)


def number_type(text: str) -> Type:
    """The narrowest type of a number, given its canonical digits."""
    whole, _, fraction = text.removeprefix("-").partition(".")
    if not fraction and -(2**63) <= int(text) < 2**63:
        return INTEGER
    return decimal_type(len(whole), len(fraction)) or NUMBER


def parse_type(text: str) -> Type:
    """Reads `Type.text`. Raises ValueError for an unknown kind."""
    kind, _, digits = text.removesuffix(")").partition("(")
    if not digits:
        return Type(Kind(text))
    whole, scale = digits.split(",")
    return Type(Kind(kind), int(whole), int(scale))


def join(left: Type, right: Type) -> Type:
    """The smallest type that holds the values of both."""
    if left == right or right.kind is Kind.NULL:
        return left
    if left.kind is Kind.NULL:
        return right
    if left.kind not in _NUMERIC or right.kind not in _NUMERIC:
        return JSON
    if Kind.NUMBER in (left.kind, right.kind):
        return NUMBER
    return decimal_type(max(_whole(left), _whole(right)), max(left.scale, right.scale)) or NUMBER


def _whole(type_: Type) -> int:
    return INT64_DIGITS if type_.kind is Kind.INTEGER else type_.whole


def join_all(schemas: Iterable[Mapping[str, Type]]) -> dict[str, Type]:
    """The join of several schemas, attribute by attribute, in order of first appearance."""
    joined: dict[str, Type] = {}
    for schema in schemas:
        for name, type_ in schema.items():
            joined[name] = join(joined.get(name, NULL), type_)
    return joined
