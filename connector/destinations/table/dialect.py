"""How the columns of a replicated table differ between databases."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from connector.core.names import Rules
from connector.core.schema import (
    BINARY,
    BOOLEAN,
    DATE,
    DECIMAL_DIGITS,
    INTEGER,
    JSON,
    NUMBER,
    STRING,
    TIMESTAMP,
    UUID,
    Kind,
    Type,
    fixed_type,
)

_DECIMALS = [
    Type(Kind.DECIMAL, DECIMAL_DIGITS - scale, scale) for scale in range(DECIMAL_DIGITS + 1)
]
# A SQL type that several of our types share stands for the last of them.
_TYPES = [*_DECIMALS, NUMBER, INTEGER, STRING, BOOLEAN, BINARY, JSON]
_DECLARED = [
    *(
        fixed_type(digits - scale, scale)
        for digits in range(1, DECIMAL_DIGITS + 1)
        for scale in range(digits + 1)
    ),
    TIMESTAMP,
    DATE,
    UUID,
]
_KEY_TYPES = {"S": [STRING], "N": [*_DECIMALS, NUMBER, INTEGER], "B": [BINARY]}


@dataclass(frozen=True)
class Dialect:
    """The names and types of columns in one database. SQL types are spelled as it spells them."""

    rules: Rules
    type_of: Callable[[Type], str]
    """The SQL type that holds every value of a type exactly."""
    service: Mapping[str, str]
    """SQL types of the service columns that every table has."""
    optional: Mapping[str, str]
    """Definitions of the service columns that a table has once it needs them."""
    max_columns: int
    """The largest number of attributes with a column, whatever is configured."""
    table_fold: Callable[[str], str]
    """Two targets with the same folded name count as the same table."""
    widened: Callable[[str, Type, Type], str] = lambda expression, have, want: expression
    """An expression of one type, as the same value in a type above it in the lattice."""
    sent: Callable[[str, Type], str] = lambda expression, type_: expression
    """An expression as it is read: in a type that Arrow has, or as text."""
    staged: Callable[[str, Type], str] = lambda expression, type_: expression
    """A staged value, converted to the type of its column."""
    micros: Callable[[str], str] = lambda expression: f"epoch_us({expression})"
    """A time as microseconds since 1970."""
    always_fit: int = sys.maxsize
    """The number of attributes that fit into their columns, whatever their values are."""
    columns_at_once: int = 1
    """How many columns one statement may add."""

    def known(self) -> dict[str, Type]:
        """Our types by SQL type, for the columns of a table that is certainly ours."""
        return {self.type_of(type_): type_ for type_ in _DECLARED} | self.adopted()

    def adopted(self) -> dict[str, Type]:
        """Our types by SQL type, for the columns of a table that is adopted."""
        return {self.type_of(type_): type_ for type_ in _TYPES}

    def adopted_key(self, tag: str) -> dict[str, Type]:
        """The same for a part of the key with a tag."""
        return {self.type_of(type_): type_ for type_ in _KEY_TYPES[tag]}
