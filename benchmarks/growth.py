"""How the time grows: with the size of the table, with the workers, with the rows of a round."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.processes import Cost, served
from benchmarks.snapshots import insert, part, sync
from benchmarks.tails import drained
from benchmarks.warehouses import warehouse
from tests.rigs.scripted import PrerenderedTable, prerendered


@dataclass(frozen=True)
class Grown:
    """The median of some runs; with `changes`, of a tail of so many on a table of `items` rows."""

    items: int
    workers: int
    changes: int
    seconds: float
    peak_bytes: int
    limit: float | None = None
    """Items per second that the machine allows, as for a snapshot."""

    @property
    def rate(self) -> float:
        """Items, or changes, per second."""
        return (self.changes or self.items) / self.seconds

    @property
    def microseconds(self) -> float:
        """Of wall time, for each."""
        return 1e6 / self.rate


def by_size(sizes: list[int], rounds: int) -> list[Grown]:
    """Snapshots of tables of these sizes into DuckDB, each beside its limit."""
    return [_snapshots(items, 2, rounds, limited=True) for items in sizes]


def by_workers(workers: list[int], items: int, rounds: int) -> list[Grown]:
    """Snapshots of one table with so many workers each."""
    return [_snapshots(items, count, rounds) for count in workers]


def rounds_by_rows(rows: list[int], changes: int) -> list[Grown]:
    """A round of a few changes of random rows, on tables of these sizes, in DuckDB."""
    found = [drained("duckdb", count, changes) for count in rows]
    return [Grown(each.rows, 2, changes, each.seconds, each.peak_bytes) for each in found]


def _snapshots(items: int, workers: int, rounds: int, limited: bool = False) -> Grown:
    table = PrerenderedTable("load", items, prerendered.flat)
    with TemporaryDirectory(prefix="connector-bench-") as name, served("flat", items) as source:
        folder = Path(name)
        with warehouse("duckdb", folder) as place:
            costs: list[Cost] = []
            limits: list[float] = []
            for _ in range(rounds):
                place.clean()
                costs.append(sync(folder, source, place, table, workers))
                place.clean()
                if limited:
                    received = part("receive", source.url).wall
                    limits.append(items / max(received, insert(folder, source, place)))
    wall = median(cost.wall for cost in costs)
    peak = max(cost.peak_bytes for cost in costs)
    return Grown(items, workers, 0, wall, peak, median(limits) if limits else None)
