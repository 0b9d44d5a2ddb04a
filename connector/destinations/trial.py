"""What the destinations have in common in trying what a run does, inside a rolled-back transaction.

Every name and every key of a trial is made for it alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from connector.core.keys import KeyAttribute, KeySchema
from connector.core.needs import Need, Wanted, tried, untried
from connector.core.schema import INTEGER, NUMBER
from connector.core.spec import TableSpec
from connector.core.state import Column
from connector.destinations.commits.step import refuse_shared
from connector.destinations.sql import Target
from connector.destinations.state import tables as t
from connector.destinations.state.store import State
from connector.destinations.state.tables import Execute, compiled, insert
from connector.destinations.table import columns as table_columns
from connector.destinations.table.dialect import Dialect
from connector.destinations.table.in_the_way import explained

KEY = (KeyAttribute("id", "S"),)
"""The key of a throw-away table."""


def throw_away(schema: str, database: str = "") -> Target:
    """A table that nobody has."""
    return Target(schema, mark(), database)


def mark() -> str:
    """A name that nobody has."""
    return f"_connector_check_{uuid4().hex}"


def needs(
    opened: Callable[[], str],
    state: Callable[[], str],
    schema: Callable[[], str],
    table: Callable[[Wanted], str],
    tables: Sequence[Wanted],
) -> Iterator[Need]:
    """The needs of a destination, each by what tries it; none hides another."""
    first = tried("destination", opened)
    yield first
    if first.error is not None:
        yield untried("state", first)
        yield untried("destination schema", first)
        yield from (untried("destination table", first, each.table) for each in tables)
        return
    yield tried("state", state)
    yield tried("destination schema", schema)
    for wanted in tables:
        yield tried("destination table", partial(table, wanted), wanted.table)


@dataclass(frozen=True)
class Place:
    """Where a table goes, by what is remembered of it; `columns` is None if nothing is."""

    target: Target
    keys: KeySchema
    columns: Mapping[str, Column] | None = None


def place(
    state: State, wanted: Wanted, schema: str, same: Callable[[Target, Target], bool]
) -> Place:
    """Where a table goes. Raises DestinationRefused if another one goes there."""
    target = Target(schema, wanted.target, state.database)
    if not state.exists():
        return Place(target, wanted.keys or ())
    header = state.header(wanted.table)
    going = header.target if header else target
    refuse_shared(state, wanted.table, wanted.arn, going, same)
    if header is None:
        return Place(target, wanted.keys or ())
    return Place(header.target, header.identity.keys, state.columns(wanted.table))


def not_ours_yet(place: Place, there: bool) -> str:
    """What is said of a table that was never planned here."""
    return f"{place.target} is there already" if there else f"{place.target} will be made"


def of_the_state(tables: Sequence[str] | None) -> str:
    """What is said of a state that could be written; None if there is none yet."""
    if tables is None:
        return "its tables will be made in the schema _connector"
    return f"the schema _connector can be written; tables in it: {len(tables)}"


def try_state(execute: Execute) -> None:
    """Takes a row in and out of every table of the state."""
    name = mark()
    for table in t.all_tables():
        insert(execute, table, [{column.name: _filler(column, name) for column in table.columns}])
        first = next(iter(table.columns))
        own = first == _filler(first, name)
        execute(*compiled(sa.update(table).where(own).values({first: _filler(first, name)})))
        execute(*compiled(sa.delete(table).where(own)))


def _filler(column: sa.Column[Any], name: str) -> object:
    fillers = {str: name, int: 0, bool: False, datetime: datetime.now(UTC)}
    return fillers[column.type.python_type]


def try_columns(
    dialect: Dialect, run: table_columns.Run, target: Target, actual: dict[str, str]
) -> None:
    """Adds a column to a throw-away table, and widens it, as a run does for an attribute."""
    spec = TableSpec()
    columns = table_columns.key_columns(dialect, KEY, spec)
    for type_ in (INTEGER, NUMBER):
        wanted = {"n": type_}
        with explained(lambda cause, _: None):
            columns = table_columns.grow(
                dialect, run, target, actual, columns, wanted, 10, spec.service
            )


def try_column(dialect: Dialect, run: table_columns.Run, target: Target) -> None:
    """Adds a column to a table that is in use; no column of it is rewritten."""
    column = Column(mark(), INTEGER)
    run(table_columns.added(dialect, target, [column]))
