"""Loads every spooled row of a generation into a table: the part that all databases share."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import pyarrow as pa

from connector.core.names import COMMIT, DELETED, REST
from connector.core.state import Load
from connector.destinations.commits.feed import Feed
from connector.destinations.commits.staging import Layout
from connector.destinations.commits.step import refuse_too_many, too_many
from connector.destinations.database import Transaction
from connector.destinations.sql import OUTER, STAGED_KEYS, Target, quoted
from connector.destinations.table import columns as table_columns
from connector.destinations.table.drift import Watch

STREAMED = f"{OUTER}.{quoted(COMMIT)} > CAST($1 AS BIGINT)"
"""A condition for rows that the stream has written since the plan; `$1` is its commit."""


class Loading:
    """One load inside its transaction. In its queries `$1` is the commit of its plan."""

    def __init__(
        self,
        transaction: Transaction,
        load: Load,
        layout: Layout,
        start_commit: int,
        commit: int,
        overtaken: bool,
        planned: int,
        watch: Watch,
        elsewhere: Iterable[pa.Table] = (),
    ) -> None:
        self._transaction = transaction
        self._elsewhere = elsewhere
        self._load = load
        self._planned = planned
        self._watch = watch
        self.table = load.table
        self.layout = layout
        """Where the rows go; it changes when a row needs `_rest`."""
        self.start = start_commit
        self.commit = commit
        self.overtaken = overtaken
        """Whether the stream has deleted a key since the plan."""
        self.streamed = self.any(STREAMED)
        """Whether the stream has written a row since the plan."""
        self.left_over = False
        """Whether an attribute of a row had no column."""

    @property
    def target(self) -> str:
        """The table's name, as SQL."""
        return self.layout.target.sql

    @property
    def earlier(self) -> str:
        """A condition for rows of earlier generations, without those marked as deleted."""
        return f"{OUTER}.{quoted(COMMIT)} <= CAST($1 AS BIGINT){self._unmarked}"

    @property
    def _unmarked(self) -> str:
        return f" AND {OUTER}.{quoted(DELETED)} IS NOT TRUE" if self.layout.marks else ""

    def any(self, condition: str, beside: Target | None = None) -> bool:
        """Whether any row meets a condition, or any of a table beside this one."""
        table = beside.sql if beside else self.target
        sql = f"SELECT 1 AS found FROM {table} AS {OUTER} WHERE {condition} LIMIT 1"
        return bool(self._transaction.ask(sql, [self.start]))

    def count(self, condition: str) -> int:
        """The number of rows that meet a condition."""
        sql = f"SELECT count(*) AS n FROM {self.target} AS {OUTER} WHERE {condition}"
        return int(self._transaction.ask(sql, [self.start])[0]["n"])

    def count_streamed(self) -> int:
        """The number of rows from the stream alone, without those marked as deleted."""
        return self.count(STREAMED + self._unmarked) if self.streamed else 0

    def refuse_too_many(self, vanishing: int, earlier: int, gone: str) -> None:
        """Raises TooManyDeletes if more of the rows would vanish than is allowed.

        `gone` is the condition for those that would. Their number is that of the plan: what the
        stream has written since is no earlier row. A row that is in another target now has not
        vanished, which is only looked up if it matters.
        """
        rows, allowed = max(earlier, self._planned), self._load.max_deleted
        if too_many(vanishing, rows, allowed):
            vanishing -= self._moved(gone)
        refuse_too_many(self.table, self.layout.target, vanishing, rows, allowed)

    def _moved(self, gone: str) -> int:
        """How many of the rows that would vanish are in another target of this load."""
        names = tuple(key.name for key in self.layout.keys)
        layout = replace(self.layout, attributes=names, rest=False, history=False)
        there = f"SELECT 1 FROM {STAGED_KEYS} WHERE {layout.key_of_staged(OUTER, STAGED_KEYS)}"
        moved = 0
        for keys in self._elsewhere:
            if len(keys):
                with self._transaction.staged(layout.stage(keys), STAGED_KEYS):
                    moved += self.count(f"{gone} AND EXISTS ({there})")
        return moved

    def feed(
        self,
        tables: Iterable[pa.Table],
        take: Callable[[pa.RecordBatchReader], int],
        rows_at_once: int | None = None,
    ) -> int:
        """Passes staged rows to `take` as they come, and adds `_rest` before a row needs it."""
        feed = Feed(tables, self._watch, rows_at_once)
        taken = 0
        while not feed.ended:
            if feed.needs_rest and not self.layout.rest:
                table_columns.add(self._transaction, self.layout.target, REST)
                self.layout = replace(self.layout, rest=True)
            try:
                taken += take(feed.reader(self.layout))
            except Exception:
                if feed.failure is not None:
                    raise feed.failure from None
                raise
        self.left_over = feed.left_over
        return taken

    def filled(self, names: Sequence[str]) -> dict[str, bool]:
        """Whether any row has a value, for each of some columns."""
        counts = ", ".join(f"count({quoted(name)}) AS c{n}" for n, name in enumerate(names))
        found = self._transaction.ask(f"SELECT {counts} FROM {self.target}")[0]
        return dict(zip(names, map(bool, found.values()), strict=True))
