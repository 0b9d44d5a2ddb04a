"""A merge by time: staged rows that are older than what is stored of their keys are not written."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from connector.core.changes.times import MILLISECOND, Tied, judged
from connector.core.rows import CHANGED_AT, SETTLED
from connector.destinations.commits.staging import Layout, key_texts
from connector.destinations.database import Transaction
from connector.destinations.sql import STAGED_AGES, STAGED_TIMES
from connector.destinations.state.store import State

_Conflict = tuple[int, bool]
"""The place of a staged row, and whether what is stored of its key is certainly newer."""


@dataclass(frozen=True)
class ByTime:
    """Compares staged rows with the rows and the tombstones of their keys."""

    transaction: Transaction
    state: State
    table: str
    layout: Layout

    def winners(self, staged: pa.Table) -> tuple[pa.Table, frozenset[str]]:
        """The staged rows that are to be written, and the keys of the others.

        Raises Tied if times do not say which of two is newer; then the items must be read.
        """
        settled = staged.column(SETTLED.name).to_pylist()
        conflicts = [*self._of_rows(staged), *self._of_tombstones(staged)]
        found = judged(conflicts, dict(enumerate(settled)))
        if found.tied:
            raise Tied(self._keys(staged, found.tied))
        if not found.lost:
            return staged, frozenset()
        kept = [place not in found.lost for place in range(len(staged))]
        return staged.filter(pa.array(kept)), self._keys(staged, found.lost)

    def _keys(self, staged: pa.Table, places: frozenset[int]) -> frozenset[str]:
        chosen = staged.take(pa.array(sorted(places), pa.int64()))
        return frozenset(key_texts(self.layout, chosen).to_pylist())

    def _of_rows(self, staged: pa.Table) -> Iterator[_Conflict]:
        times = staged.select([name for name, _ in self.layout.keys_staged])
        for name, bound in _bounds(staged).items():
            times = times.append_column(name, bound.cast(CHANGED_AT.type))
        times = times.append_column("place", pa.array(range(len(staged)), pa.int64()))
        with self.transaction.staged(times, STAGED_TIMES):
            found = self.transaction.not_older(self.layout)
        return _conflicts(found)

    def _of_tombstones(self, staged: pa.Table) -> Iterator[_Conflict]:
        if not self.state.tombstones.any(self.table):
            return iter(())
        keys = pa.table(
            {
                "key": key_texts(self.layout, staged),
                **_bounds(staged),
                "place": pa.array(range(len(staged)), pa.int64()),
            }
        )
        with self.transaction.staged(keys, STAGED_AGES):
            found = self.state.tombstones.not_older(self.table, STAGED_AGES)
        return _conflicts(found)


def _conflicts(rows: list[dict[str, object]]) -> Iterator[_Conflict]:
    return ((int(str(row["place"])), bool(row["newer"])) for row in rows)


def _bounds(staged: pa.Table) -> dict[str, pa.ChunkedArray]:
    """`core.changes.times.tied_with` for the times of all rows at once."""
    made = staged.column(CHANGED_AT.name).cast(pa.int64())
    low = pc.multiply(pc.divide(made, MILLISECOND), MILLISECOND)
    high = pc.if_else(pc.equal(made, low), pc.add(low, MILLISECOND - 1), made)
    return {"low": low, "made": made, "high": high}
