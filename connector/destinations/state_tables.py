"""The tables of the schema `_connector`, and how statements on them become SQL text."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateSchema, CreateTable
from sqlalchemy.sql.ddl import ExecutableDDLElement
from sqlalchemy.sql.expression import ClauseElement

SCHEMA = "_connector"

Execute = Callable[[str, Sequence[Any]], list[dict[str, Any]]]
"""Runs one statement with `$1` parameters and returns its rows."""

_metadata = sa.MetaData(schema=SCHEMA)


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
    sa.Column("commit", sa.BigInteger, nullable=False),
    sa.Column("state_version", sa.BigInteger, nullable=False),
    _moment("planned_at"),
    _moment("scanned_until"),
    _moment("loaded_at"),
    _moment("consistent_since"),
    _moment("committed_at"),
    sa.Column("problem", sa.Text),
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
)

columns = sa.Table(
    "columns",
    _metadata,
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("attribute", sa.Text, nullable=False),
    sa.Column("column_name", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
)

tombstones = sa.Table(
    "tombstones",
    _metadata,
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("commit", sa.BigInteger, nullable=False),
)

quarantine = sa.Table(
    "quarantine",
    _metadata,
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("commit", sa.BigInteger, nullable=False),
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

NAMES = frozenset(table.name for table in _metadata.tables.values())

_TIMES = tuple(
    column.name
    for table in _metadata.tables.values()
    for column in table.columns
    if isinstance(column.type, sa.DateTime)
)


def names_times(sql: str) -> bool:
    """Whether a statement names a column of times."""
    return any(name in sql for name in _TIMES)


# DuckDB reads PostgreSQL's SQL, and both take $1, $2, … as parameters.
_dialect = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


def all_tables() -> list[sa.Table]:
    """Every table of the state."""
    return list(_metadata.sorted_tables)


def compiled(statement: ClauseElement) -> tuple[str, list[Any]]:
    """A statement as SQL text with its parameters in order."""
    made: Any = statement.compile(dialect=_dialect, compile_kwargs={"render_postcompile": True})
    parameters = made.params
    return str(made), [parameters[name] for name in made.positiontup or ()]


def definition(element: ExecutableDDLElement) -> str:
    """A statement that makes something, as SQL text."""
    return str(element.compile(dialect=_dialect))


@cache
def creation() -> tuple[str, ...]:
    """The statements that make whatever is absent."""
    elements: list[ExecutableDDLElement] = [CreateSchema(SCHEMA, if_not_exists=True)]
    elements += [CreateTable(each, if_not_exists=True) for each in all_tables()]
    return tuple(map(definition, elements))


# A statement with more parameters than this many rows would be slow to prepare.
_ROWS_AT_ONCE = 200


def insert(execute: Execute, into: sa.Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Inserts rows, many with each statement."""
    waiting = list(rows)
    for first in range(0, len(waiting), _ROWS_AT_ONCE):
        execute(*compiled(sa.insert(into).values(waiting[first : first + _ROWS_AT_ONCE])))
