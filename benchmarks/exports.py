"""A table read from an export on this disk, against a Scan of the same table.

    python -m benchmarks.exports FOLDER ENDPOINT [EXPORT]

reads it into a spool that nobody loads, and prints the seconds it took.
"""

import shutil
import sys
import time
import zlib
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.processes import Served, measured, printed, served
from benchmarks.snapshots import LOADED, WORKERS, connector, summed
from benchmarks.warehouses import Warehouse, compare, warehouse
from tests.rigs import exports
from tests.rigs.scripted import PrerenderedTable, ScriptedDynamoDB, prerendered

FILES = 4
SEGMENTS = 2


@dataclass(frozen=True)
class Exported:
    """Items per second of wall time, into a spool by one process and into a table by two."""

    destination: str
    items: int
    spooled: float
    spooled_by_scan: float
    loaded: float
    loaded_by_scan: float

    @property
    def ratio(self) -> float:
        """How fast an export comes into the spool, against a Scan."""
        return self.spooled / self.spooled_by_scan


def exported(kind: str, items: int, rounds: int) -> Exported:
    """Reads a table both ways in turns, and checks what arrived each time."""
    table = PrerenderedTable("load", items, prerendered.flat)
    rates: dict[str, list[float]] = {}
    with TemporaryDirectory(prefix="connector-bench-") as name, served("flat", items) as source:
        folder = Path(name)
        # A stream that is as young as the server does not reach back to any export.
        (folder / "connector.yaml").write_text("tables: {load: {follow: none}}\n")
        url = write(folder / "exports", table).url
        with warehouse(kind, folder) as place:
            for _ in range(rounds):
                for way, flags in (("scan", []), ("export", ["--export", url])):
                    seconds = _spooled(folder, source, *flags[1:])
                    rates.setdefault(f"spooled by {way}", []).append(items / seconds)
                    loaded = _loaded(folder, source, place, table, flags)
                    rates.setdefault(f"loaded by {way}", []).append(items / loaded)
                    place.clean()
    found = {name: median(values) for name, values in rates.items()}
    return Exported(
        destination=kind,
        items=items,
        spooled=found["spooled by export"],
        spooled_by_scan=found["spooled by scan"],
        loaded=found["loaded by export"],
        loaded_by_scan=found["loaded by scan"],
    )


def write(root: Path, table: PrerenderedTable) -> exports.Export:
    """An export of a table that is never in memory."""
    model = ScriptedDynamoDB().create_table(table.name, table.schema)
    described = table.describe()
    model.id = described["TableId"]
    assert model.arn == described["TableArn"]
    export = exports.write(root, model, items=(), files=FILES)
    items = table.every_item()
    for index in range(FILES):
        count = table.items // FILES + (index < table.items % FILES)
        packer = zlib.compressobj(1, wbits=31)
        lines = map(exports.json_line, islice(items, count))
        content = [packer.compress(line.encode()) for line in lines]
        export.replace(index, b"".join([*content, packer.flush()]), count)
    return export


def _loaded(
    folder: Path, source: Served, place: Warehouse, table: PrerenderedTable, flags: list[str]
) -> float:
    command = connector("snapshot", place, "--workers", str(WORKERS), *flags)
    cost = measured(command, folder=folder, environment=source.environment)
    number = summed(table)
    sql = f"SELECT count(*), count(DISTINCT id), sum({number}) FROM load"
    compare(place, sql, table.items, table.items, table.total(number))
    return cost.seconds_until(LOADED)


def _spooled(folder: Path, source: Served, *export: str) -> float:
    command = [sys.executable, "-m", "benchmarks.exports", str(folder / "spool"), source.url]
    seconds = float(printed([*command, *export], source.environment))
    shutil.rmtree(folder / "spool")
    return seconds


def main() -> None:
    """Reads into a spool."""
    from connector import job
    from connector.config.loading import load
    from connector.events import quiet
    from connector.pipeline.interpreter import without_gc
    from connector.scanning.segments import segment_scan
    from connector.stop import Stop

    folder, endpoint, *export = sys.argv[1:]
    Path(folder).mkdir(parents=True)
    config = load(
        None,
        to=f"duckdb:///{folder}/unused.duckdb",
        tables=["load"],
        environment={},
        overrides={
            "spool": folder,
            "scan.segments": SEGMENTS,
            "source.endpoint_url": endpoint,
            "tables": {"load": {"follow": "none"}},
        },
    )
    run = job.open_run(config, "load", export=export[0] if export else None)
    began = time.monotonic()
    # With the check of the whole export that comes before its plan.
    state = run.plan(None)
    scan = segment_scan(run.config, state, quiet, Stop.never())
    with without_gc():
        for number in range(state.segments):
            assert scan.run(number)
    print(time.monotonic() - began)


if __name__ == "__main__":
    main()
