"""SQL text: quoted identifiers, and our own names. Values of items never become SQL text."""

from dataclasses import dataclass, field

from connector.errors import DestinationRefused


def quoted(*names: str) -> str:
    """A (qualified) identifier that cannot be read as anything but exactly these names.

    Raises DestinationRefused for an empty name, which no database can hold.
    """
    if not all(names):
        raise DestinationRefused("An empty name cannot be a schema, a table or a column.")
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def literal(text: str) -> str:
    """A text of the configuration as a literal, for a statement that takes no parameters."""
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True)
class Target:
    """A replicated table in the destination."""

    schema: str
    name: str
    database: str = field(default="", compare=False)
    """DuckDB's name for the file; without it, a schema of that name could be meant."""

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
"""The staged rows. No column may have this name, since it would hide theirs."""

STAGED_TIMES = "_connector_staged_times"
"""The keys and the times of staged rows."""

STAGED_AGES = "_connector_staged_ages"
"""The keys of staged rows as tombstones spell them, and their times."""

STAGED_VERSIONS = "_connector_staged_versions"
"""The staged versions that began and ended in one batch."""

STAGED_LOG = "_connector_staged_log"
"""The staged rows of a log."""

STAGED_KEYS = "_connector_staged_keys"
"""The keys of staged rows."""

OUTER = "_connector_outer"
"""The table's alias inside a subquery; a short one could equal one of its columns."""
