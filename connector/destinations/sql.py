"""SQL text: quoted identifiers, and names of ours. Values never become SQL text."""

from dataclasses import dataclass, field

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


STAGED = "_connector_staged"
"""Where staged rows are; as a column's name it would stand in the way of theirs."""

STAGED_KEYS = "_connector_staged_keys"
"""Where the keys of staged rows are."""

OUTER = "_connector_outer"
"""The table, seen from inside a subquery; a short name could be one of its own columns."""
