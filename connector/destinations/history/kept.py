"""What is kept beside a table: its changes, and the versions of its items."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import pyarrow as pa

from connector.core.changes.shards import read_through
from connector.core.cursors import GAP
from connector.core.modes.history import ENDED_AT as ENDED_AT_FIELD
from connector.core.modes.history import LAST, EndedBy, Op
from connector.core.modes.history import OP as OP_FIELD
from connector.core.names import CHANGED_AT, COMMIT, DELETED, ENDED_BY, OP, PLACE, REST, VALID_TO
from connector.core.spec import TableSpec
from connector.core.state import Column, Phase
from connector.destinations.commits.staging import Layout
from connector.destinations.database import Transaction
from connector.destinations.history import turns
from connector.destinations.history.ended import Ended, same_item, same_key
from connector.destinations.history.log import Log
from connector.destinations.history.places import history_of, taken
from connector.destinations.history.view import View, can_begin_with
from connector.destinations.sql import OUTER, STAGED, STAGED_VERSIONS, quoted
from connector.destinations.state.header import Header
from connector.destinations.state.store import State
from connector.destinations.table import columns as table_columns
from connector.destinations.table.comments import describe_view
from connector.stop import MACHINE

INEXACT = 60_000_000
"""Microseconds. By less than that, times of different sources do not tell what came first."""


@dataclass
class Kept:
    """What a spec keeps beside one table, inside a transaction."""

    transaction: Transaction
    state: State
    header: Header
    spec: TableSpec

    def __post_init__(self) -> None:
        self.table = self.header.target
        self.log = Log(self.transaction, self.table, self.header.row_keys)
        self.ended = Ended(self.transaction, self.table)
        self._view = history_of(self.table)
        self._grants: list[str] = []
        self._dirty = False

    def create(self, switched_on: bool) -> None:
        """Creates what is not there. Raises DestinationRefused if something else has its name."""
        columns, retired = self.state.all_columns(self.header.table_name)
        if self.spec.changes:
            self.log.create(columns)
        if not self.spec.history:
            return
        there = self.transaction.taken(self.ended.target)
        if not there and self.transaction.taken(self._view):
            raise taken(self.table, [self._view])
        # A column of the view cannot become wider, or get the table's order of texts.
        switched = there and switched_on
        mine = there and self.ended.mine()
        if switched or (mine and self.ended.widened({}, retired | columns)):
            self.hide()
        self._dirty = True
        self.ended.create(retired | columns, self._has(REST))
        if switched:
            self.reopen()
        self.show()

    def switch_off(self) -> None:
        """Ends all versions, since nobody keeps what happens to them after they were last read."""
        table = self.state.read(self.header.table_name)
        self.close((read_through(table.shards) if table else None) or MACHINE.now(), EndedBy.GAP)

    def close(self, at: datetime, by: EndedBy) -> None:
        """Ends all versions, and lets the view do without the table."""
        if not self._has(OP):
            table_columns.add(self.transaction, self.table, OP)
        self.ended.end(
            self._values(),
            f"{self.table.sql} AS {OUTER} WHERE {self._live}",
            f"greatest({OUTER}.{quoted(CHANGED_AT)}, to_timestamp({at.timestamp()!r}))",
            f"'{by}'",
        )
        self.hide()
        self._show(live=False)

    def reopen(self) -> None:
        """Lets versions go on that ended when the history was switched off.

        What is different since then began with a gap.
        """
        if not self._has(OP):
            table_columns.add(self.transaction, self.table, OP)
        columns = self.state.columns(self.header.table_name)
        keys = [quoted(columns[key.name].name) for key in self.header.row_keys]
        same = " AND ".join(f"{OUTER}.{name} = closed.{name}" for name in keys)
        commit, at = quoted(COMMIT), quoted(CHANGED_AT)
        self.transaction.ask(
            f"DELETE FROM {self.ended.target.sql} AS closed "
            f"WHERE {quoted(ENDED_BY)} = '{EndedBy.GAP}' AND {quoted(PLACE)} = {LAST} "
            f"AND EXISTS (SELECT 1 FROM {self.table.sql} AS {OUTER} "
            f"WHERE {same} AND {OUTER}.{commit} = closed.{commit} AND {self._live})"
        )
        self.transaction.ask(
            f"UPDATE {self.table.sql} AS {OUTER} SET {quoted(OP)} = '{Op.GAP}', "
            f"{at} = greatest({OUTER}.{at}, closed.until) FROM "
            f"(SELECT {', '.join(keys)}, max({quoted(VALID_TO)}) AS until, max({commit}) AS made, "
            f"max(CASE WHEN {quoted(ENDED_BY)} = '{EndedBy.GAP}' THEN {commit} END) AS gap "
            f"FROM {self.ended.target.sql} GROUP BY {', '.join(keys)}) AS closed "
            f"WHERE {same} AND {OUTER}.{commit} > closed.made AND closed.gap = closed.made"
        )

    @property
    def _live(self) -> str:
        return f"{OUTER}.{quoted(DELETED)} IS NOT TRUE" if self._has(DELETED) else "true"

    def _values(self) -> dict[str, str]:
        """A row of the table as the values of an ended version."""
        columns, retired = self.state.all_columns(self.header.table_name)
        actual = self.transaction.describe(self.table).columns
        rest = table_columns.has(self.transaction.dialect, actual, retired | columns, REST)
        return self.ended.values(retired | columns, actual, rest, f"{OUTER}.")

    def drop(self) -> None:
        """Drops all that is kept, also what an earlier spec kept."""
        if self.ended.mine():
            if self.transaction.taken(self._view):
                self.transaction.drop(self._view, "view")
            self.transaction.drop(self.ended.target)
        if self.log.mine():
            self.transaction.drop(self.log.target)

    def _has(self, service: str) -> bool:
        columns, retired = self.state.all_columns(self.header.table_name)
        actual = self.transaction.describe(self.table).columns
        return table_columns.has(self.transaction.dialect, actual, retired | columns, service)

    def hide(self) -> None:
        """Drops the view of all versions, so that the table's columns can change below it."""
        if not self._grants and self.transaction.taken(self._view):
            self._grants = self.transaction.drop_view(self._view)
        self._dirty = True

    def grew(self, before: Mapping[str, Column], after: Mapping[str, Column]) -> None:
        """Lets everything have the columns that the table has now."""
        if self.spec.changes:
            self.log.follow(after)
        self._dirty = True
        if self.spec.history:
            self.ended.follow(before, after, rest=False)

    def changed(self) -> None:
        """Notes that the table got or lost a column."""
        self._dirty = True

    def show(self) -> None:
        """Makes the view of all versions anew, if the table's columns have changed."""
        if self._dirty and self.spec.history:
            self._show(live=True)

    def _show(self, live: bool) -> None:
        columns, retired = self.state.all_columns(self.header.table_name)
        actual = self.transaction.describe(self.table).columns
        named = retired | columns

        def has(service: str) -> bool:
            return table_columns.has(self.transaction.dialect, actual, named, service)

        self.ended.follow({}, {}, has(REST))
        present = self.ended.values(named, actual, has(REST), "")
        types, had = self.ended.attributes, self.transaction.view_columns(self._view)
        if not can_begin_with(had, types, self._collated if live else {}):
            self.hide()
            had = {}
        view = View(
            table=self.table,
            ended=self.ended.target,
            keys=[columns[key.name].name for key in self.header.row_keys],
            types=types,
            present=present,
            op=has(OP),
            marks=has(DELETED),
            live=live,
            first=list(had),
        )
        self.transaction.ask(f"CREATE OR REPLACE VIEW {self._view.sql} AS {view.sql()}")
        describe_view(self.transaction, self._view, columns, self.spec)
        for statement in self._grants:
            self.transaction.ask(statement)
        self._grants, self._dirty = [], False

    @property
    def _collated(self) -> Mapping[str, str]:
        return self.transaction.view_columns(self.table)

    @cached_property
    def _after_gap(self) -> bool:
        """Whether what happened to the rows of earlier generations is not known."""
        if self.header.phase is not Phase.LOADING:
            return False
        return GAP in self.state.cursors(self.header.table_name, [GAP])

    @property
    def unseen(self) -> EndedBy:
        """How versions ended that a load finds different."""
        return EndedBy.GAP if self._after_gap else EndedBy.REFRESH

    def settled(
        self, layout: Layout, staged: pa.Table, versions: pa.Table | None
    ) -> tuple[pa.Table, pa.Table | None] | None:
        """The staged rows and versions where earlier ones of their keys are later; None if none is.

        The rows are staged as STAGED, and the versions are not yet.
        """
        self.ended.refuse_changed()
        later = self.ended.later(layout, turns.earliest(staged))
        known = self._known(layout, staged, later)
        unclear = self._unclear(layout) if self._after_gap else set()
        if not later and not unclear and not known:
            return None
        new = [place not in known for place in range(len(staged))]
        staged, versions = turns.settled(layout, staged, versions, later, unclear)
        return staged.filter(pa.array(new)), versions

    def _known(self, layout: Layout, staged: pa.Table, later: Mapping[int, int]) -> frozenset[int]:
        """The places of staged rows that fill a gap, but tell nothing that is not known.

        What fills it begins earlier, so it has items as they are, or as they were before that.
        """
        ops = staged.column(OP_FIELD.name).to_pylist()
        filling = {place for place, op in enumerate(ops) if op == Op.GAP}
        if not filling or self.header.phase is Phase.LOADING:
            return frozenset()
        ends = staged.column(ENDED_AT_FIELD.name).cast(pa.int64()).to_pylist()
        older = {place for place, at in later.items() if at - ends[place] > INEXACT}
        equal = same_item(self.transaction, self.state, layout, self.header.table_name, STAGED)
        found = self.transaction.ask(
            f"SELECT {STAGED}.place AS place FROM {self.table.sql} AS {OUTER} JOIN {STAGED} "
            f"ON {same_key(layout, self.transaction, STAGED)} "
            f"WHERE {STAGED}.deleted IS NOT TRUE AND {STAGED}.marked IS NOT TRUE AND {equal}"
        )
        return frozenset((older | {int(row["place"]) for row in found}) & filling)

    def _unclear(self, layout: Layout) -> set[int]:
        """The places of staged rows whose keys have a row from before a gap."""
        found = self.transaction.ask(
            f"SELECT {STAGED}.place AS place FROM {self.table.sql} AS {OUTER} JOIN {STAGED} "
            f"ON {same_key(layout, self.transaction, STAGED)} "
            f"WHERE {OUTER}.{quoted(COMMIT)} <= CAST($1 AS BIGINT)",
            [self.header.start_commit],
        )
        return {int(row["place"]) for row in found}

    def end(self, layout: Layout, versions: pa.Table | None, commit: int) -> None:
        """Ends the versions of the rows staged as STAGED, and adds those that had no row."""
        if not self.transaction.taken(self._view):
            self._dirty = True
        live = f"{OUTER}.{quoted(DELETED)} IS NOT TRUE" if layout.marks else "true"
        by = f"{STAGED}.ended_by"
        if self._after_gap:
            before = f"{OUTER}.{quoted(COMMIT)} <= {self.header.start_commit}"
            by = f"CASE WHEN {before} THEN '{EndedBy.GAP}' ELSE {by} END"
        self.ended.end(
            self._values(),
            f"{self.table.sql} AS {OUTER} JOIN {STAGED} "
            f"ON {same_key(layout, self.transaction, STAGED)} WHERE {live}",
            f"{STAGED}.ended_at",
            by,
        )
        if versions is not None:
            with self.transaction.staged(versions, STAGED_VERSIONS):
                self.ended.add(layout, commit)


def keep(transaction: Transaction, state: State, header: Header, before: Header | None) -> None:
    """Makes what the spec of a table keeps beside it; `before` is its row before this step."""
    had = (before.made_with() if before else None) or TableSpec()
    kept = Kept(transaction, state, header, header.made_with() or TableSpec())
    kept.create(switched_on=before is not None and not had.history)
    # A target that is new has none.
    if had.history and not kept.spec.history and transaction.taken(kept.ended.target):
        kept.switch_off()


def keep_on(transaction: Transaction, state: State, header: Header, before: Header | None) -> None:
    """Goes on with the history of a table that rows only leave, or ends it.

    The log of such a table is complete.
    """
    had = (before.made_with() if before else None) or TableSpec()
    spec = replace(header.made_with() or TableSpec(), changes=False)
    kept = Kept(transaction, state, header, spec)
    if not kept.ended.mine():
        return
    kept.create(switched_on=not had.history)
    if had.history and not spec.history:
        kept.switch_off()


def drop_kept(transaction: Transaction, state: State, header: Header) -> None:
    """Drops all that is kept beside a table."""
    Kept(transaction, state, header, header.made_with() or TableSpec()).drop()
