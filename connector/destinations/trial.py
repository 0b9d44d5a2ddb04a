"""Tries what a run does, in transactions that are rolled back, whatever the database.

Every name and every key in a trial is used only there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
from connector.destinations.database import Database, Transaction
from connector.destinations.history.ready import refuse_kept
from connector.destinations.sql import Target
from connector.destinations.state import tables as t
from connector.destinations.state.part import parts_of
from connector.destinations.state.store import State
from connector.destinations.state.tables import Execute, compiled, insert
from connector.destinations.table import columns as table_columns
from connector.destinations.table.in_the_way import explained
from connector.destinations.table.several import Targets
from connector.stop import MACHINE

KEY = (KeyAttribute("id", "S"),)
"""The key of a throw-away table."""


def mark() -> str:
    """A name that nothing else has."""
    return f"_connector_check_{uuid4().hex}"


class Trial:
    """The needs of runs that write to one schema, each tried in a separate transaction."""

    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        self._schema = schema

    def needs(self, tables: Sequence[Wanted]) -> Iterator[Need]:
        """Every need, tried; a failure of one does not hide another."""
        try:
            yield from self._needs(tables)
        finally:
            self._database.release()

    def _needs(self, tables: Sequence[Wanted]) -> Iterator[Need]:
        first = tried("destination", self._database.about)
        yield first
        if first.error is not None:
            yield untried("state", first)
            yield untried("destination schema", first)
            yield from (untried("destination table", first, each.table) for each in tables)
            return
        state = tried("state", self._state)
        yield state
        yield tried("destination schema", self._new_table)
        for wanted in tables:
            there = tried("destination table", partial(self._table, wanted), wanted.table)
            yield there
            if state.error is None and there.error is None and wanted is self._last(tables, wanted):
                applied = tried("settings", partial(self._settings, wanted), wanted.table)
                # What can be applied is no news.
                yield from [applied] if applied.error else ()

    def _last(self, tables: Sequence[Wanted], wanted: Wanted) -> Wanted:
        """The last target of the same table."""
        return [each for each in tables if each.table == wanted.table][-1]

    def _state(self) -> str:
        with self._database.trial() as transaction:
            state = State(transaction.schema)
            known = state.tables() if state.exists() else None
            if state.outdated:
                state.migrate()
            state.create()
            try_state(transaction.schema.execute)
        return of_the_state(known)

    def _settings(self, wanted: Wanted) -> str:
        """Applies the settings of a table to its rows, as the next run will."""
        with self._database.trial() as transaction:
            state = State(transaction.schema)
            if wanted.applied is None or not state.exists() or state.outdated:
                return ""
            header = state.header(wanted.table)
            if header is not None:
                names = wanted.applied.routes.targets or (wanted.target,)
                database = transaction.schema.database
                targets = [Target(self._schema, name, database) for name in names]
                if (header.made_with(), header.target) != (wanted.applied, targets[0]):
                    several = Targets(transaction, state)
                    several.reconfigure(wanted.table, targets, wanted.applied)
        return ""

    def _new_table(self) -> str:
        """Everything that we do with a table, from its creation on."""
        with self._database.trial() as transaction:
            target = Target(self._schema, mark(), transaction.schema.database)
            columns = table_columns.key_columns(transaction.dialect, KEY, TableSpec())
            transaction.create(target, columns)
            transaction.try_new(target, columns)
        return f"a table, columns and rows can be created in the schema {self._schema}"

    def _table(self, wanted: Wanted) -> str:
        with self._database.trial() as transaction:
            dialect = transaction.dialect
            at = place(transaction, wanted, self._schema)
            found = transaction.describe(at.target)
            if at.columns is not None:
                table_columns.refuse_changed(dialect, at.target, found, at.columns, at.keys)
            elif not found.columns or not at.keys:
                kept = refuse_kept(transaction, at.target, at.keys, wanted.spec, None)
                return not_ours_yet(at, bool(found.columns)) + beside(kept)
            columns = at.columns
            if columns is None:
                columns = table_columns.adopt(transaction, at.target, found, at.keys, wanted.names)
            kept = self._kept(transaction, wanted, at)
            left_out = transaction.try_rows(at.target, [columns[key.name] for key in at.keys])
        rows = f"{at.target} accepts rows and columns ({len(found.columns)} so far){kept}"
        return f"{rows}; {left_out}" if left_out else rows

    def _kept(self, transaction: Transaction, wanted: Wanted, at: "Place") -> str:
        """What is kept beside a table, after a comma, once it is known to be as it should be."""
        made = at.made_with or TableSpec()
        columns = at.columns if made.recorded else None
        # What is only to be switched on is not there yet.
        spec = made if made.recorded else wanted.spec
        return beside(refuse_kept(transaction, at.target, at.keys, spec, columns))


@dataclass(frozen=True)
class Place:
    """The target of a table according to its state; `columns` is None without a state."""

    target: Target
    keys: KeySchema
    columns: Mapping[str, Column] | None = None
    made_with: TableSpec | None = None


def place(transaction: Transaction, wanted: Wanted, schema: str) -> Place:
    """The target of a table. Raises DestinationRefused if another table has the same one."""
    state = State(transaction.schema)
    target = Target(schema, wanted.target, state.database)
    if not state.exists():
        return Place(target, wanted.keys or ())
    header = state.header(wanted.table)
    parts = parts_of(transaction.schema, state, header) if header else []
    if header and (header.routed or wanted.spec.routes):
        parts = [part for part in parts if part.name == wanted.target]
    going = parts[0].header.target if parts else target
    refuse_shared(transaction.dialect, state, wanted.table, wanted.arn, going)
    if not parts:
        return Place(target, wanted.keys or ())
    header = parts[0].header
    columns = parts[0].state.columns(wanted.table)
    return Place(going, header.row_keys, columns, header.made_with())


def beside(kept: str) -> str:
    """What is kept beside a table, after a comma."""
    return f", with {kept} beside it" if kept else ""


def not_ours_yet(place: Place, there: bool) -> str:
    """The report for a table that was never planned here."""
    return f"{place.target} exists already" if there else f"{place.target} will be created"


def of_the_state(tables: Sequence[str] | None) -> str:
    """The report for a state that could be written; `tables` is None if there is none yet."""
    if tables is None:
        return "its tables will be created in the schema _connector"
    return f"the schema _connector can be written; tables in it: {len(tables)}"


def try_state(execute: Execute) -> None:
    """Inserts, updates and deletes a row in every table of the state."""
    name = mark()
    for table in t.all_tables():
        insert(execute, table, [{column.name: _filler(column, name) for column in table.columns}])
        first = next(iter(table.columns))
        own = first == _filler(first, name)
        execute(*compiled(sa.update(table).where(own).values({first: _filler(first, name)})))
        execute(*compiled(sa.delete(table).where(own)))


def _filler(column: sa.Column[Any], name: str) -> object:
    fillers = {str: name, int: 0, bool: False, datetime: MACHINE.now()}
    return fillers[column.type.python_type]


def try_columns(transaction: Transaction, target: Target) -> None:
    """Adds a column to a throw-away table and widens it, as a run does for an attribute."""
    spec = TableSpec()
    actual = transaction.describe(target).columns
    columns = table_columns.key_columns(transaction.dialect, KEY, spec)
    for type_ in (INTEGER, NUMBER):
        wanted = {"n": type_}
        with explained(lambda cause, _: None):
            columns = table_columns.grow(transaction, target, actual, columns, wanted, 10, spec)


def try_column(transaction: Transaction, target: Target) -> None:
    """Adds a column to a table that is in use; no column of it is rewritten."""
    column = Column(mark(), INTEGER)
    transaction.ask(table_columns.added(transaction.dialect, target, [column]))
