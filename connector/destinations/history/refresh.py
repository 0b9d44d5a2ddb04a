"""Loads a table that is read anew where a history is kept: what is equal stays as it is."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from connector.core.modes.history import EndedBy, Op
from connector.core.names import CHANGED_AT, COMMIT, DELETED, ENDED_BY, OP, VALID_TO
from connector.core.rows import CHANGED_AT as CHANGED_AT_FIELD
from connector.core.schema import JSON
from connector.core.state import Load
from connector.destinations.commits.load import Loading
from connector.destinations.commits.staging import Layout
from connector.destinations.database import Transaction
from connector.destinations.history.ended import same_item, same_key
from connector.destinations.history.kept import Kept
from connector.destinations.sql import OUTER, STAGED, quoted

EARLIER = f"{OUTER}.{quoted(COMMIT)} <= CAST($1 AS BIGINT)"
"""A condition for rows of earlier generations; `$1` is the commit of the plan."""

_FRESH = "_connector_fresh"
_NTH = "_connector_nth"


def refresh(
    transaction: Transaction, loading: Loading, tables: Iterable[pa.Table], kept: Kept, load: Load
) -> tuple[int, int]:
    """Brings in every row; returns how many there are and how many earlier ones were deleted.

    A row whose item is equal is left untouched. Versions end only where an item differs.
    """
    with transaction.gathered(loading, tables):
        work = _Refresh(transaction, loading, kept, load)
        work.choose()
        earlier = loading.count(loading.earlier)
        vanishing = work.vanishing()
        loading.refuse_too_many(vanishing, earlier, work.vanished)
        work.end()
        work.delete()
        work.insert()
        written = work.count()
        transaction.ask(f"DROP TABLE {_FRESH}")
    return written, vanishing


@dataclass(frozen=True)
class _Refresh:
    """The statements of one load, whose rows are staged."""

    transaction: Transaction
    loading: Loading
    kept: Kept
    load: Load

    @property
    def _layout(self) -> Layout:
        return self.loading.layout

    @property
    def _table(self) -> str:
        return f"{self.loading.target} AS {OUTER}"

    def _ask(self, sql: str, start: bool = True) -> list[dict[str, object]]:
        return self.transaction.ask(sql, [self.loading.start] if start else [])

    def _same(self, staged: str) -> str:
        return same_key(self._layout, self.transaction, staged)

    def choose(self) -> None:
        """Collects the newest row of each key, unless what the table has is newer."""
        staged = self.transaction.dialect.staged
        keys = ", ".join(
            staged(f"{STAGED}.{name}", column.type) for name, column in self._layout.keys_staged
        )
        newest = f"row_number() OVER (PARTITION BY {keys} ORDER BY changed_at DESC) AS {_NTH}"
        rows = f"(SELECT {STAGED}.*, {newest} FROM {STAGED}) AS {_FRESH}"
        # A statement that creates a table takes no parameters in Postgres.
        self._ask(f"CREATE TEMP TABLE {_FRESH} AS SELECT * FROM {rows} WHERE false", start=False)
        newer = f"{OUTER}.{quoted(COMMIT)} > CAST($1 AS BIGINT){self._or_recent}"
        there = f"SELECT 1 FROM {self._table} WHERE {self._same(_FRESH)} AND ({newer})"
        fresh = f"{_FRESH}.{_NTH} = 1 AND NOT EXISTS ({there}){self._not_deleted}"
        source = [self.load.table] if self.loading.overtaken else []
        self.transaction.ask(
            f"INSERT INTO {_FRESH} SELECT * FROM {rows} WHERE {fresh}",
            [self.loading.start, *source],
        )

    @property
    def _or_recent(self) -> str:
        recent = self._recent
        return f" OR {OUTER}.{quoted(CHANGED_AT)} >= {recent}" if recent else ""

    @property
    def _not_recent(self) -> str:
        recent = self._recent
        return f" AND {OUTER}.{quoted(CHANGED_AT)} < {recent}" if recent else ""

    @property
    def _recent(self) -> str:
        at = self.load.recent
        return f"to_timestamp({at.timestamp()!r})" if at else ""

    @property
    def _not_deleted(self) -> str:
        """A condition that neither a tombstone nor a recent deletion has the key."""
        layout = self._layout
        condition = ""
        if self.loading.overtaken:
            condition = f" AND NOT EXISTS ({self.transaction.buried(layout, _FRESH)})"
        if self.load.recent:
            kept = self.kept.ended.target.sql
            condition += (
                f" AND NOT EXISTS (SELECT 1 FROM {kept} AS {OUTER} WHERE {self._same(_FRESH)} "
                f"AND {OUTER}.{quoted(VALID_TO)} >= {self._recent} "
                f"AND {OUTER}.{quoted(ENDED_BY)} IN ('{EndedBy.DELETE}', '{EndedBy.EXPIRY}'))"
            )
        return condition

    @property
    def _live(self) -> str:
        return f" AND {OUTER}.{quoted(DELETED)} IS NOT TRUE" if self._layout.marks else ""

    @property
    def _equal(self) -> str:
        """A condition that a row of the table and a fresh one have the same item."""
        state = self.kept.state
        return same_item(self.transaction, state, self._layout, self.load.table, _FRESH)

    @property
    def vanished(self) -> str:
        """A condition for rows whose items are no longer there."""
        gone = f"NOT EXISTS (SELECT 1 FROM {STAGED} WHERE {self._same(STAGED)})"
        return f"{EARLIER}{self._live}{self._not_recent} AND {gone}"

    def vanishing(self) -> int:
        """The number of rows whose items are no longer there."""
        return self.loading.count(self.vanished)

    def end(self) -> None:
        """Keeps the versions of rows whose items differ, or are no longer there."""
        columns, retired = self.kept.state.all_columns(self.load.table)
        actual = self.transaction.describe(self._layout.target).columns
        values = self.kept.ended.values(retired | columns, actual, self._layout.rest, f"{OUTER}.")
        changed_at, by = f"{OUTER}.{quoted(CHANGED_AT)}", f"'{self.kept.unseen}'"
        start = self.loading.start
        earlier = f"{OUTER}.{quoted(COMMIT)} <= {start}{self._live}"
        self.kept.ended.end(
            values,
            f"{self._table} JOIN {_FRESH} ON {self._same(_FRESH)} "
            f"WHERE {earlier} AND NOT ({self._equal})",
            f"greatest({changed_at}, {_FRESH}.{CHANGED_AT_FIELD.name})",
            by,
        )
        until = f"to_timestamp({self.load.scanned_until.timestamp()!r})"
        self.kept.ended.end(
            values,
            f"{self._table} WHERE {self.vanished.replace('CAST($1 AS BIGINT)', str(start))}",
            f"greatest({changed_at}, {until})",
            by,
        )

    def delete(self) -> None:
        """Deletes rows whose items differ, or are no longer there."""
        marked = f"{OUTER}.{quoted(DELETED)} IS TRUE OR " if self._layout.marks else ""
        differs = (
            f"EXISTS (SELECT 1 FROM {_FRESH} WHERE {self._same(_FRESH)} "
            f"AND ({marked}NOT ({self._equal})))"
        )
        start = [self.loading.start]
        self.transaction.delete(self._layout.target, f"{EARLIER} AND {differs}", start)
        self.transaction.delete(self._layout.target, self.vanished, start)

    def insert(self) -> None:
        """Adds the rows that the table does not have."""
        dialect, layout = self.transaction.dialect, self._layout
        by_name = {column.name: column for column in layout.columns.values()}
        values: dict[str, str] = {}
        for name, column in layout.staged.items():
            type_ = by_name[column].type if column in by_name else JSON
            values[column] = dialect.staged(f"{_FRESH}.{name}", type_)
        values[CHANGED_AT] = f"greatest({_FRESH}.{CHANGED_AT_FIELD.name}, later.at)"
        values[COMMIT] = str(self.loading.commit)
        values[OP] = f"'{Op.GAP if self.kept.unseen is EndedBy.GAP else Op.SNAPSHOT}'"
        keys = [column for _, column in layout.keys_staged]
        later = (
            f"SELECT {', '.join(quoted(c.name) for c in keys)}, max({quoted(VALID_TO)}) AS at "
            f"FROM {self.kept.ended.target.sql} WHERE {quoted(VALID_TO)} > "
            f"(SELECT min({CHANGED_AT_FIELD.name}) FROM {_FRESH}) "
            f"GROUP BY {', '.join(quoted(c.name) for c in keys)}"
        )
        on = self._same(_FRESH).replace(f"{OUTER}.", "later.")
        there = f"SELECT 1 FROM {self._table} WHERE {self._same(_FRESH)}"
        self.transaction.insert(
            self._layout.target,
            ", ".join(map(quoted, values)),
            f"SELECT {', '.join(values.values())} FROM {_FRESH} "
            f"LEFT JOIN ({later}) AS later ON {on} WHERE NOT EXISTS ({there})",
        )

    def count(self) -> int:
        """The number of rows that the scan has, without those that the stream has overtaken."""
        return int(str(self._ask(f"SELECT count(*) AS n FROM {_FRESH}", start=False)[0]["n"]))
