"""The tables of the schema `_connector`, and how statements on them become SQL text."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateColumn, CreateTable
from sqlalchemy.sql.ddl import ExecutableDDLElement
from sqlalchemy.sql.expression import ClauseElement

SCHEMA = "_connector"

Execute = Callable[[str, Sequence[Any]], list[dict[str, Any]]]
"""Runs one statement with `$1` parameters and returns its rows."""

Creation = Callable[[sa.Table], Sequence[ExecutableDDLElement]]
"""The statements that create a table."""


def _created(table: sa.Table) -> Sequence[ExecutableDDLElement]:
    return [CreateTable(table)]


@dataclass(frozen=True)
class Schema:
    """The schema `_connector` of one database, inside a transaction: how to read and create it."""

    execute: Execute
    listed: Callable[[], set[str]]
    """Lists its tables, in the way that is fastest in each database."""
    create: Callable[[], object] = lambda: None
    """Creates the schema if it does not exist."""
    creation: Creation = _created
    """The statements that create a table."""
    database: str = ""
    """What a target must be qualified with."""

    def create_table(self, table: sa.Table) -> None:
        """Creates a table of the state."""
        for text in _definitions(self.creation, table):
            self.execute(text, ())


_metadata = sa.MetaData(schema=SCHEMA)

_SINCE = "since"


def _added(version: int) -> dict[str, int]:
    """Marks a table or a column that states before a version do not have."""
    return {_SINCE: version}


def _moment(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True))


tables = sa.Table(
    "tables",
    _metadata,
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("target_schema", sa.Text, nullable=False),
    sa.Column("target_name", sa.Text, nullable=False),
    sa.Column("table_arn", sa.Text, nullable=False),
    sa.Column("table_id", sa.Text, nullable=False),
    sa.Column("stream_arn", sa.Text, nullable=False),
    sa.Column("view_type", sa.Text, nullable=False),
    sa.Column("keys", sa.Text, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("plan_id", sa.Text, nullable=False),
    sa.Column("phase", sa.Text, nullable=False),
    sa.Column("segments", sa.BigInteger, nullable=False),
    sa.Column("start_commit", sa.BigInteger, nullable=False),
    sa.Column("commit", sa.BigInteger, nullable=False, quote=True),
    sa.Column("state_version", sa.BigInteger, nullable=False),
    _moment("planned_at"),
    _moment("scanned_until"),
    _moment("loaded_at"),
    _moment("consistent_since"),
    _moment("committed_at"),
    sa.Column("problem", sa.Text),
    sa.Column("spec", sa.Text, info=_added(2)),
    sa.Column("overflowed", sa.Boolean, info=_added(2)),
    sa.Column("region", sa.Text, info=_added(4)),
    # How many seconds the source keeps changes, where that can differ.
    sa.Column("retention", sa.BigInteger, info=_added(5)),
    # Whether `targets` has rows of it.
    sa.Column("routed", sa.Boolean, info=_added(6)),
)

targets = sa.Table(
    "targets",
    _metadata,
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("target_schema", sa.Text, nullable=False),
    sa.Column("target_name", sa.Text, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    # Earlier routes led to it: until the next load rows only leave it.
    sa.Column("retired", sa.Boolean, nullable=False),
    sa.Column("overflowed", sa.Boolean),
    info=_added(6),
)

cursors = sa.Table(
    "cursors",
    _metadata,
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("partition", sa.Text, nullable=False),
    sa.Column("token", sa.Text),
    sa.Column("done", sa.Boolean, nullable=False),
    _moment("seen_at"),
    sa.Column("parent", sa.Text),
    sa.Column("adjacent", sa.Text, info=_added(5)),
)

columns = sa.Table(
    "columns",
    _metadata,
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("attribute", sa.Text, nullable=False),
    sa.Column("column_name", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("retired", sa.Boolean, info=_added(2)),
)

target_columns = sa.Table(
    "target_columns",
    _metadata,
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("attribute", sa.Text, nullable=False),
    sa.Column("column_name", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("retired", sa.Boolean),
    info=_added(6),
)

tombstones = sa.Table(
    "tombstones",
    _metadata,
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("commit", sa.BigInteger, nullable=False, quote=True),
    # When the item was deleted, in microseconds since 1970, where changes are merged by time.
    sa.Column("micros", sa.BigInteger, info=_added(5)),
)

quarantine = sa.Table(
    "quarantine",
    _metadata,
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("commit", sa.BigInteger, nullable=False, quote=True),
    sa.Column("partition", sa.Text, nullable=False),
    sa.Column("sequence", sa.Text),
    sa.Column("key", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("raw", sa.Text, nullable=False),
    _moment("quarantined_at"),
)

runs = sa.Table(
    "runs",
    _metadata,
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("command", sa.Text, nullable=False),
    _moment("started_at"),
    _moment("updated_at"),
    sa.Column("commits", sa.BigInteger, nullable=False),
    sa.Column("written", sa.BigInteger, nullable=False),
    sa.Column("deleted", sa.BigInteger, nullable=False),
    sa.Column("quarantined", sa.BigInteger, nullable=False),
)

drift = sa.Table(
    "drift",
    _metadata,
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("column", sa.Text, nullable=False),
    sa.Column("from", sa.Text),
    sa.Column("to", sa.Text, nullable=False),
    sa.Column("commit", sa.BigInteger, nullable=False, quote=True),
    # A reserved word in DuckDB.
    sa.Column("at", sa.DateTime(timezone=True), quote=True),
    sa.Column("key", sa.Text),
    # Which of several targets has the column.
    sa.Column("target", sa.Text, info=_added(6)),
    info=_added(3),
)

migrations = sa.Table(
    "migrations",
    _metadata,
    sa.Column("version", sa.BigInteger, nullable=False),
    _moment("applied_at"),
    info=_added(2),
)


@functools.cache
def names_of(version: int) -> frozenset[str]:
    """The names of the tables in a state of a version."""
    return frozenset(table.name for table in all_tables() if _since(table) <= version)


def columns_of(table: sa.Table, version: int) -> list[sa.Column[Any]]:
    """The columns that a table has in a state of a version."""
    return [column for column in table.columns if _since(column) <= version]


@functools.cache
def selected(table: sa.Table, version: int) -> sa.Select[Any]:
    """Selects those columns."""
    return sa.select(*columns_of(table, version))


def as_of(table: sa.Table, version: int) -> sa.Table:
    """A table as it was in a state of a version."""
    columns = (sa.Column(c.name, c.type, nullable=c.nullable) for c in columns_of(table, version))
    return sa.Table(table.name, sa.MetaData(schema=SCHEMA), *columns)


def _since(element: sa.Table | sa.Column[Any]) -> int:
    return int(element.info.get(_SINCE, 1))


# DuckDB reads PostgreSQL's SQL, and both take $1, $2, … as parameters.
_dialect = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


@functools.cache
def all_tables() -> tuple[sa.Table, ...]:
    """Every table of the state."""
    return tuple(_metadata.sorted_tables)


_compiled: dict[Any, Any] = {}
"""What SQLAlchemy made of a statement, by its shape: to make it takes five times as long as to find
it. There is one for each statement in this package."""


def compiled(statement: ClauseElement) -> tuple[str, list[Any]]:
    """A statement as SQL text with its parameters in order."""
    # An insert of several rows at once has no key.
    key: Any = statement._generate_cache_key()
    made: Any = _compiled.get(key.key) if key else None
    if made is None:
        options = {"render_postcompile": True}
        made = statement.compile(dialect=_dialect, cache_key=key, compile_kwargs=options)
        # The text of an IN depends on how many values there are, of which the key says nothing.
        if key and not made.post_compile_params:
            _compiled[key.key] = made
    values = made.construct_params(extracted_parameters=key.bindparams if key else None)
    return str(made), [values[name] for name in made.positiontup or ()]


@functools.cache
def rows_of_a_table(table: sa.Table, version: int) -> str:
    """Selects what a state of a version has of the source table `$1`, as SQL text."""
    return compiled(selected(table, version).where(table.c.table_name == ""))[0]


@functools.lru_cache(64)
def _definitions(creation: Creation, table: sa.Table) -> list[str]:
    return list(map(definition, creation(table)))


def definition(element: ExecutableDDLElement) -> str:
    """A statement that creates something, as SQL text."""
    return str(element.compile(dialect=_dialect))


def column_definition(column: sa.Column[Any]) -> str:
    """A column's name and type, as SQL text."""
    return str(CreateColumn(column).compile(dialect=_dialect))


# A statement with the parameters of more rows is slow to prepare.
_ROWS_AT_ONCE = 200


def insert(execute: Execute, into: sa.Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Inserts rows with the same columns, many of them per statement."""
    waiting = list(rows)
    for first in range(0, len(waiting), _ROWS_AT_ONCE):
        some = waiting[first : first + _ROWS_AT_ONCE]
        text, places = _insertion(into, tuple(some[0]), len(some))
        execute(text, [some[number][name] for number, name in places])


@functools.lru_cache(256)
def _insertion(
    into: sa.Table, names: Sequence[str], count: int
) -> tuple[str, list[tuple[int, str]]]:
    """The statement that inserts so many rows, and which value of which row each parameter is."""
    rows = [{name: (number, name) for name in names} for number in range(count)]
    return compiled(sa.insert(into).values(rows))
