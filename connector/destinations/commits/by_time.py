"""A merge by time: staged rows that are older than what is stored of their keys are not written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connector.core.changes.times import MILLISECOND, SECOND, Tied, judged, micros
from connector.core.rows import CHANGED_AT, SETTLED
from connector.destinations.commits.staging import Layout, key_texts
from connector.destinations.database import Transaction
from connector.destinations.sql import STAGED_AGES, STAGED_TIMES
from connector.destinations.state.store import State


@dataclass(frozen=True)
class _Conflict:
    """What is stored of the key of a staged row."""

    place: int
    newer: bool
    """Whether it is certainly newer; otherwise the two are tied."""
    at: int


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
        found = judged(((each.place, each.newer) for each in conflicts), dict(enumerate(settled)))
        if found.tied:
            raise Tied(self._keys(staged, found.tied))
        staged = _as_inexact(staged, conflicts)
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


def _conflicts(rows: list[dict[str, Any]]) -> Iterator[_Conflict]:
    for row in rows:
        at = row["at"]
        at = micros(at) if isinstance(at, datetime) else int(at)
        yield _Conflict(int(row["place"]), bool(row["newer"]), at)


def _as_inexact(staged: pa.Table, conflicts: Sequence[_Conflict]) -> pa.Table:
    """Rows with the times of what they were tied with, if those are less exact.

    What is tied with any of them is then tied with the row as well.
    """
    least = {each.place: each.at for each in sorted(conflicts, key=lambda each: -each.at)}
    if not least:
        return staged
    made = staged.column(CHANGED_AT.name).cast(pa.int64()).to_pylist()
    times = [min(at, least.get(place, at)) for place, at in enumerate(made)]
    column = pa.array(times, pa.int64()).cast(CHANGED_AT.type)
    names = staged.schema.names
    return staged.set_column(names.index(CHANGED_AT.name), CHANGED_AT.name, column)


def _bounds(staged: pa.Table) -> dict[str, pa.ChunkedArray]:
    """`core.changes.times.tied_with` for the times of all rows at once."""
    made = staged.column(CHANGED_AT.name).cast(pa.int64())
    second, millisecond = _beginning(made, SECOND), _beginning(made, MILLISECOND)
    high = pc.if_else(pc.equal(made, millisecond), pc.add(made, MILLISECOND - 1), made)
    high = pc.if_else(pc.equal(made, second), pc.add(made, SECOND - 1), high)
    return {"in_second": second, "in_millisecond": millisecond, "made": made, "high": high}


def _beginning(made: pa.ChunkedArray, unit: int) -> pa.ChunkedArray:
    return pc.multiply(pc.divide(made, unit), unit)
