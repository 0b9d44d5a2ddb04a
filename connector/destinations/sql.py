"""SQL text: quoted identifiers and the spelling of column types. Values never become SQL text."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.core.names import Rules
from connector.core.schema import DECIMAL_DIGITS, Kind, Type
from connector.errors import DestinationRefused


def quoted(*names: str) -> str:
    """An identifier, or a qualified one, that can only be read as exactly these names.

    Raises DestinationRefused for an empty name, which no database can hold.
    """
    if not all(names):
        raise DestinationRefused("An empty name cannot be a schema, a table or a column.")
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


@dataclass(frozen=True)
class Target:
    """A replicated table in the destination."""

    schema: str
    name: str
    database: str = field(default="", compare=False)
    """What DuckDB calls the file: without it, a schema of that name could be meant."""

    @property
    def sql(self) -> str:
        """The qualified name, quoted."""
        return quoted(*self._database, self.schema, self.name)

    @property
    def schema_sql(self) -> str:
        """The schema's qualified name, quoted."""
        return quoted(*self._database, self.schema)

    @property
    def _database(self) -> list[str]:
        return [self.database] if self.database else []

    def beside(self, schema: str, name: str) -> "Target":
        """Another table in the same database."""
        return Target(schema, name, self.database)

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


_UPPER_TO_LOWER = {ord(upper): ord(upper) + 32 for upper in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def duckdb_fold(name: str) -> str:
    """Names with the same fold are the same column to DuckDB: it ignores case in ASCII only."""
    return name.translate(_UPPER_TO_LOWER)


STAGED = "_connector_staged"
"""Where staged rows are; as a column's name it would stand in the way of theirs."""

STAGED_KEYS = "_connector_staged_keys"
"""Where the keys of staged rows are."""


def temporary(name: str) -> str:
    """A temporary table in DuckDB, which no schema of the file can be taken for."""
    return quoted("temp", "main", name)


OUTER = "_connector_outer"
"""The table, seen from inside a subquery; a short name could be one of its own columns."""

TWICE = "_connector_twice"
NEWEST = "_connector_newest"
SURPLUS = "_connector_surplus"

# DynamoDB's own limit on attribute names is 65,535 bytes, and DuckDB holds all of them.
DUCKDB_RULES = Rules(
    fold=duckdb_fold, max_bytes=65_535, reserved=frozenset((STAGED, OUTER, SURPLUS))
)

CHANGED_AT_TYPE = "TIMESTAMP WITH TIME ZONE"
COMMIT_TYPE = "BIGINT"
REST_TYPE = "JSON"
# With a default, so that a statement that knows nothing of it leaves no doubt.
DELETED_TYPE = "BOOLEAN DEFAULT false"

_DUCKDB: Mapping[Kind, str] = {
    Kind.INTEGER: "BIGINT",
    Kind.NUMBER: "JSON",
    Kind.STRING: "VARCHAR",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.BINARY: "BLOB",
    Kind.JSON: "JSON",
}


def duckdb_type(type_: Type) -> str:
    """The SQL type that holds every value of `type_` exactly, spelled as DuckDB itself does."""
    if type_.kind is Kind.DECIMAL:
        return f"DECIMAL({DECIMAL_DIGITS},{type_.scale})"
    return _DUCKDB[type_.kind]


def canonical_digits(expression: str, type_: Type) -> str:
    """The canonical text of a number column: as `core.numbers.canonical` spells it."""
    text = f"CAST({expression} AS VARCHAR)"
    if type_.kind is not Kind.DECIMAL:
        return text
    return f"CASE WHEN contains({text}, '.') THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END"


def duckdb_widened(expression: str, have: Type, want: Type) -> str:
    """The same value in a type that is above its own in the lattice."""
    if want.kind is Kind.DECIMAL:
        return f"CAST({expression} AS {duckdb_type(want)})"
    if have.kind in (Kind.INTEGER, Kind.DECIMAL):
        return f"CAST({canonical_digits(expression, have)} AS JSON)"
    if have.kind is Kind.BINARY:
        return f"to_json(to_base64({expression}))"
    return f"to_json({expression})"
