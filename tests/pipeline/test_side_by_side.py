"""Several tables of one process in one file: they wait for each other and never collide."""

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from connector.config import loading as configuration
from connector.job import open_destination, open_run
from connector.pipeline.side_by_side import our_error
from tests.rigs.scripted import ScriptedDynamoDB

from .replica import PACE, SCHEMA, Replica, order

NAMES = ("orders", "customers", "products")
THREADS = 8


def test_readers_of_one_process_get_in_at_the_same_moment(replica: Replica) -> None:
    replica.model.put(order(1, 1))
    replica.sync()
    destination = open_destination(replica.config())
    together = Barrier(THREADS, timeout=120)

    def read(_: int) -> list[int]:
        found = []
        for _ in range(5):
            together.wait()
            found.append(destination.count("orders"))
        return found

    with ThreadPoolExecutor(THREADS) as threads:
        assert list(threads.map(read, range(THREADS))) == [[1] * 5] * THREADS


def test_tables_are_synced_at_the_same_time_into_one_file(
    rig: ScriptedDynamoDB, tmp_path: Path
) -> None:
    for name in NAMES:
        rig.create_table(name, SCHEMA).put(*(order(n, n) for n in range(20)))
    config = configuration.load(
        None,
        to=f"duckdb:///{tmp_path}/warehouse.duckdb",
        tables=NAMES,
        environment={},
        overrides={"source.endpoint_url": rig.url, "scan.segments": 1, **PACE},
    )

    def sync(name: str) -> int:
        for round_ in range(2):
            rig.model(name).put(*(order(n, round_) for n in range(10)))
            open_run(config, name).sync(lambda tail: tail.caught_up())
        return open_destination(config).count(name)

    with ThreadPoolExecutor(len(NAMES)) as threads:
        assert list(threads.map(sync, NAMES)) == [20] * len(NAMES)


def test_what_the_system_refuses_one_of_several_is_no_bug() -> None:
    full = our_error(OSError(errno.ENOSPC, "No space left on device", "/spool/x"))
    assert (full.exit_code, full.message) == (
        4,
        "The system refused: /spool/x: No space left on device.",
    )
    assert our_error(PermissionError(errno.EACCES, "Permission denied", "/x")).exit_code == 2
