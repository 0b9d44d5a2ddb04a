"""A whole snapshot, against a program written by hand and against what the machine allows."""

import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from types import MappingProxyType

from benchmarks.processes import Cost, Served, measured, printed, served
from benchmarks.warehouses import Warehouse, compare, warehouse
from tests.rigs.scripted import PrerenderedTable
from tests.rigs.scripted.prerendered import Shape

WORKERS = 2
LOADED = "loaded in commit"
NUMBERS = ("price", "n", "column_000")


@dataclass(frozen=True)
class Snapshot:
    """Medians of one workload; rates are items per second of wall time.

    `rate` is that of the whole command, with its proof; `loaded` that until the rows are there.
    """

    shape: str
    destination: str
    items: int
    item_bytes: float
    rate: float
    loaded: float
    cpu: float
    peak_bytes: int
    boto3: float
    by_hand: float
    received: float
    inserted: float
    peer: float | None = None

    @property
    def limit(self) -> float:
        """The slower of receiving bytes and inserting Arrow that is ready."""
        return min(self.received, self.inserted)


def snapshot(
    shape: str, make: Shape, kind: str, items: int, rounds: int, peer: Path | None
) -> Snapshot:
    """Snapshots a served table some times and checks what arrived, each way in turn."""
    table = PrerenderedTable("load", items, make)
    runs: list[Cost] = []
    rates: dict[str, list[float]] = {}

    def note(name: str, items: float, seconds: float) -> None:
        rates.setdefault(name, []).append(items / seconds)

    with TemporaryDirectory(prefix="connector-bench-") as name, served(shape, items) as source:
        folder = Path(name)
        with warehouse(kind, folder) as place:
            for _ in range(rounds):
                runs.append(sync(folder, source, place, table))
                note("received", items, part("receive", source.url).wall)
                note("boto3", *_counted(source, "boto3_receive"))
                place.clean()
                note("by_hand", *_counted(source, "by_hand", place.url))
                place.clean()
                note("inserted", items, insert(folder, source, place))
                if peer and (kind, shape) == ("postgres", "flat"):
                    place.clean()
                    note("peer", items, _peer(peer, folder, source, place, items))
                place.clean()
    return Snapshot(
        shape=shape,
        destination=kind,
        items=items,
        item_bytes=len(table.page({"Segment": 0, "TotalSegments": 1}).body) / table.per_page,
        rate=items / median(run.wall for run in runs),
        loaded=items / median(run.seconds_until(LOADED) for run in runs),
        cpu=median(run.cpu for run in runs),
        peak_bytes=max(run.peak_bytes for run in runs),
        **{name: median(values) for name, values in rates.items()},
    )


def sync(
    folder: Path,
    source: Served,
    place: Warehouse,
    table: PrerenderedTable,
    workers: int = WORKERS,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Cost:
    """Snapshots the table with the program and compares its count, its keys and a sum.

    `variables` are further settings of the program.
    """
    cost = measured(
        connector("snapshot", place, "--workers", str(workers)),
        folder=folder,
        environment={**source.environment, **variables},
    )
    number = summed(table)
    sql = f"SELECT count(*), count(DISTINCT id), sum({number}) FROM load"
    compare(place, sql, table.items, table.items, table.total(number))
    return cost


def summed(table: PrerenderedTable) -> str:
    """The attribute whose sum is compared."""
    return next(name for name in NUMBERS if name in table.shape(0))


def connector(command: str, place: Warehouse, *flags: str) -> list[str]:
    """A command line of the program for the table `load`."""
    return [sys.executable, "-m", "connector", command, "load", "--to", place.url, *flags]


def part(*arguments: str) -> Cost:
    """Runs one of the baselines."""
    return measured(_baseline(*arguments), folder=Path.cwd(), environment=_CREDENTIALS)


_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def _baseline(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.baseline", *arguments]


def _counted(source: Served, *arguments: str) -> tuple[float, float]:
    """Items and seconds of a baseline that says how many it took."""
    name, *rest = arguments
    return _timed(lambda: float(printed(_baseline(name, source.url, *rest), _CREDENTIALS)))


def _timed(work: Callable[[], float]) -> tuple[float, float]:
    started = time.monotonic()
    items = work()
    return items, time.monotonic() - started


def insert(folder: Path, source: Served, place: Warehouse) -> float:
    """Inserts files that were made before the clock started."""
    ready = folder / "ready"
    part("spool", str(ready), source.url)
    cost = part("insert", str(ready), place.url)
    shutil.rmtree(ready)
    return cost.wall


def _peer(program: Path, folder: Path, source: Served, place: Warehouse, items: int) -> float:
    """Another program's Scan into Postgres: ingestr."""
    host = source.url.removeprefix("http://")
    keys = "region=us-west-2&access_key_id=test&secret_access_key=test"
    command: Sequence[str] = [
        str(program),
        "ingest",
        "--yes",
        *("--source-uri", f"dynamodb://{host}?{keys}", "--source-table", "load"),
        *("--dest-uri", place.url, "--dest-table", "public.peer", "--progress", "log"),
    ]
    cost = measured(command, folder=folder, environment=source.environment)
    compare(place, "SELECT count(*) FROM public.peer", items)
    return cost.wall
