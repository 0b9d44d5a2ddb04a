"""The stream: a backlog in many shards, and a round of few changes on a large table."""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.processes import Cost, Served, measured, served
from benchmarks.snapshots import connector, sync
from benchmarks.warehouses import Warehouse, compare, warehouse
from tests.rigs.scripted import PrerenderedTable, prerendered

SHARDS = 16
KINESIS_SHARDS = 64
KINESIS = "arn:aws:kinesis:us-west-2:000000000000:stream/load"
KEEP = {"CONNECTOR_TABLES": '{"load": {"history": true, "changes": true}}'}


@dataclass(frozen=True)
class Drained:
    """One `connector tail` that ended when it had caught up; its rate is of wall time."""

    destination: str
    rows: int
    events: int
    seconds: float
    cpu: float
    peak_bytes: int

    @property
    def rate(self) -> float:
        """Events per second, from the start of the program to its end."""
        return self.events / self.seconds


@dataclass(frozen=True)
class Kept:
    """Two of them, one after the other: without a history and a log, and with both."""

    plain: Drained
    kept: Drained

    @property
    def ratio(self) -> float:
        """The rate with both, of the rate without."""
        return self.kept.rate / self.plain.rate


def kept(kind: str, rows: int, events: int) -> Kept:
    """Tails the same changes without a history and a log, and with both."""
    return Kept(drained(kind, rows, events), drained(kind, rows, events, keep=True))


def drained(kind: str, rows: int, events: int, keep: bool = False) -> Drained:
    """Tails so many changes of random rows into a table that was snapshotted before."""
    table = PrerenderedTable("load", rows, prerendered.flat)
    with TemporaryDirectory(prefix="connector-bench-") as name:
        folder = Path(name)
        with (
            served("flat", rows, events, SHARDS) as source,
            warehouse(kind, folder) as place,
        ):
            if keep:
                source = replace(source, settings=KEEP)
            sync(folder, source, place, table)
            source.release()
            cost = _tail(folder, source, place)
            _check(place, table, source)
            if keep:
                _check_kept(place, rows, events)
    return Drained(kind, rows, events, cost.wall, cost.cpu, cost.peak_bytes)


def drained_of_kinesis(kind: str, rows: int, events: int) -> Drained:
    """The same out of a Kinesis stream, of which each shard gives 2 MB a second."""
    table = PrerenderedTable("load", rows, prerendered.flat)
    with TemporaryDirectory(prefix="connector-bench-") as name:
        folder = Path(name)
        settings = f"tables: {{load: {{follow: kinesis, kinesis: '{KINESIS}'}}}}\n"
        (folder / "connector.yaml").write_text(settings)
        with (
            served("flat", rows, events, KINESIS_SHARDS, kinesis=True) as source,
            warehouse(kind, folder) as place,
        ):
            sync(folder, source, place, table)
            source.release()
            cost = _tail(folder, source, place)
            _check(place, table, source)
    return Drained(kind, rows, events, cost.wall, cost.cpu, cost.peak_bytes)


def _tail(folder: Path, source: Served, place: Warehouse) -> Cost:
    command = connector("tail", place, "--quiet")
    return measured(command, folder=folder, environment=source.environment)


def _check(place: Warehouse, table: PrerenderedTable, source: Served) -> None:
    sql = "SELECT count(*), count(DISTINCT id), sum(revision), sum(price) FROM load"
    compare(place, sql, table.items, table.items, source.revisions, table.total("price"))


def _check_kept(place: Warehouse, rows: int, events: int) -> None:
    compare(place, "SELECT count(*) FROM load__changes", events)
    compare(
        place,
        "SELECT count(*), count(*) FILTER (WHERE _valid_to IS NULL) FROM load__history",
        rows + events,
        rows,
    )
