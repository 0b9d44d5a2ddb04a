"""A whole snapshot, against a program written by hand and against what the machine allows."""

import shutil
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import duckdb

from benchmarks.processes import Cost, measured, served
from connector.config import load
from tests.rigs.scripted import PrerenderedTable
from tests.rigs.scripted.prerendered import Shape

WORKERS = 2
BY_HAND_ITEMS = 20_000
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@dataclass(frozen=True)
class Snapshot:
    """Medians of one workload; rates are items per second of wall time."""

    shape: str
    items: int
    item_bytes: float
    rate: float
    cpu: float
    peak_bytes: int
    by_hand: float
    received: float
    inserted: float

    @property
    def limit(self) -> float:
        """The slower of receiving bytes and inserting Arrow that is ready."""
        return min(self.received, self.inserted)


def snapshot(shape: str, make: Shape, items: int, rounds: int) -> Snapshot:
    """Snapshots a served table into DuckDB some times and checks what arrived."""
    table = PrerenderedTable("load", items, make)
    size = len(table.page({"Segment": 0, "TotalSegments": 1}).body) / table.per_page
    runs: list[Cost] = []
    received: list[float] = []
    inserted: list[float] = []
    by_hand: list[float] = []
    with served(sys.executable, shape, items) as endpoint:
        for _ in range(rounds):
            with TemporaryDirectory(prefix="connector-bench-") as name:
                folder = Path(name)
                runs.append(_sync(folder, endpoint, table))
                received.append(items / _part(folder, "receive", endpoint).wall)
                inserted.append(items / _insert(folder, endpoint).wall)
                hand = _part(
                    folder, "by_hand", endpoint, str(folder / "hand.duckdb"), str(BY_HAND_ITEMS)
                )
                by_hand.append(min(items, BY_HAND_ITEMS) / hand.wall)
    return Snapshot(
        shape=shape,
        items=items,
        item_bytes=size,
        rate=items / median(run.wall for run in runs),
        cpu=median(run.cpu for run in runs),
        peak_bytes=max(run.peak_bytes for run in runs),
        by_hand=median(by_hand),
        received=median(received),
        inserted=median(inserted),
    )


def _environment(endpoint: str) -> dict[str, str]:
    return {
        **CREDENTIALS,
        "AWS_REGION": "us-west-2",
        "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
        "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": endpoint,
    }


def _sync(folder: Path, endpoint: str, table: PrerenderedTable) -> Cost:
    command = [sys.executable, "-m", "connector.cli", "snapshot", "load", "--quiet"]
    command += ["--to", "duckdb:///wh.duckdb", "--workers", str(WORKERS)]
    cost = measured(command, folder=folder, environment=_environment(endpoint))
    with duckdb.connect(folder / "wh.duckdb", read_only=True) as warehouse:
        number = next((n for n in ("price", "n", "column_000") if n in table.shape(0)), "id")
        query = f"SELECT count(*), count(DISTINCT id), sum({number}) FROM load"
        count, keys, total = warehouse.execute(query).fetchone() or (0, 0, 0)
    if (count, keys, Decimal(total)) != (table.items, table.items, table.total(number)):
        raise AssertionError(f"the table has {count} rows of {table.items}, or another sum")
    return cost


def _part(folder: Path, *arguments: str) -> Cost:
    command = [sys.executable, "-m", "benchmarks.baseline", *arguments]
    return measured(command, folder=Path.cwd(), environment=CREDENTIALS)


def _insert(folder: Path, endpoint: str) -> Cost:
    """Inserts files that were made before the clock started."""
    ready = folder / "ready"
    _spool(ready, endpoint)
    cost = _part(folder, "insert", str(ready), str(folder / "inserted.duckdb"))
    shutil.rmtree(ready)
    return cost


def _spool(ready: Path, endpoint: str) -> None:
    code = (
        "from benchmarks.snapshots import spool_all; import sys; "
        "spool_all(sys.argv[1], sys.argv[2])"
    )
    command = [sys.executable, "-c", code, str(ready), endpoint]
    measured(command, folder=Path.cwd(), environment=_environment(endpoint))


def spool_all(ready: str, endpoint: str) -> None:
    """Scans the served table into a spool that nobody loads."""
    from connector import job
    from connector.ports import Quiet
    from connector.workers import segment_scan

    config = load(
        None,
        to=f"duckdb:///{ready}/unused.duckdb",
        tables=["load"],
        overrides={"spool": ready, "scan.segments": 2},
    )
    Path(ready).mkdir(parents=True)
    state = job.open_run(config, "load").plan(None)
    scan = segment_scan(config, state, Quiet(), lambda: False)
    for number in range(state.segments):
        scan.run(number)
