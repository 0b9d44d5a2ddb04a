"""What differs between the databases in the columns of a replicated table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from connector.core.names import Rules
from connector.core.schema import Type


@dataclass(frozen=True)
class Dialect:
    """The names and types of columns in one database. SQL types are spelled as it spells them."""

    rules: Rules
    type_of: Callable[[Type], str]
    """The SQL type that holds every value of a type exactly."""
    widened: Callable[[str, Type, Type], str]
    """An expression of one type, as the same value in a type above it in the lattice."""
    service: Mapping[str, str]
    """SQL types of the service columns that every table has."""
    optional: Mapping[str, str]
    """Definitions of the service columns that a table has once it needs them."""
    adopted: Mapping[str, Type]
    """What a column of a table that is found may hold, by its SQL type."""
    adopted_keys: Mapping[str, Mapping[str, Type]]
    """The same for a part of the key, by its tag."""
    max_columns: int
    """How many attributes may have a column, whatever is configured."""
    columns_at_once: int = 1
    """How many columns one statement may add."""
