"""`tail --follow` at a steady rate: how old a change is when it is committed."""

import os
import threading
import time
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

from benchmarks.warehouses import Warehouse, compare, warehouse

SHARDS = 4
SLICE_SECONDS = 0.02


@dataclass(frozen=True)
class Followed:
    """Seconds from a change being in the stream to its commit; of all changes of the run."""

    destination: str
    events: int
    per_second: float
    median: float
    p95: float
    worst: float


@dataclass(frozen=True)
class Written:
    """How many changes, each of an item of its own, and the sum of their times."""

    changes: int
    times: int


def followed(kind: str, per_second: int, seconds: float) -> Followed:
    """Writes changes at a steady rate while the program follows, in processes of their own."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    writer = context.Process(target=write, args=(theirs, per_second))
    writer.start()
    try:
        with (
            TemporaryDirectory(prefix="connector-bench-") as name,
            warehouse(kind, Path(name)) as place,
        ):
            committed, written, took = _follow(ours, place, Path(name), seconds)
            ages = _ages(place, committed, written)
    finally:
        ours.close()
        writer.join()
    cuts = quantiles(ages, n=100)
    rate = written.changes / took
    return Followed(kind, written.changes, rate, cuts[49], cuts[94], max(ages))


def _follow(
    pipe: Connection, place: Warehouse, folder: Path, seconds: float
) -> tuple[list[tuple[int, float]], Written, float]:
    """Follows for so long; returns rows written and time of each commit, and all changes."""
    from connector import job
    from connector.config.loading import load
    from connector.events import Event, Tailed
    from connector.pipeline.following.tail import Tail

    committed: list[tuple[int, float]] = []

    def watch(event: Event) -> None:
        if isinstance(event, Tailed):
            committed.append((event.counts["applied"], time.time()))

    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
    config = load(
        None,
        to=place.url,
        tables=["load"],
        environment={},
        overrides={
            "spool": str(folder / "spool"),
            "source.endpoint_url": pipe.recv(),
            "source.region": "us-west-2",
        },
    )
    run = job.open_run(config, "load", listener=watch)
    run.sync(lambda tail: tail.caught_up())
    committed.clear()
    pipe.send("start")
    ends = time.monotonic() + seconds
    written: list[Written] = []

    def enough(tail: Tail) -> bool:
        if time.monotonic() >= ends and not written:
            pipe.send("stop")
            written.append(pipe.recv())
        return bool(written) and sum(rows for rows, _ in committed) >= written[0].changes

    began = time.monotonic()
    run.tail(enough)
    return committed, written[0], time.monotonic() - began


def _ages(place: Warehouse, committed: list[tuple[int, float]], written: Written) -> list[float]:
    """The age of every change at its commit: changes of a commit are rows of one number."""
    sql = "SELECT count(*), count(DISTINCT id), sum(made) FROM load"
    compare(place, sql, written.changes, written.changes, written.times)
    found = place.ask(
        "SELECT string_agg(CAST(made AS VARCHAR) || ' ' || CAST(_commit AS VARCHAR), ',') FROM load"
    )[0]
    pairs = [tuple(map(int, pair.split())) for pair in str(found).split(",")]
    times = [at for rows, at in committed if rows]
    numbers = sorted({commit for _, commit in pairs})
    if len(times) != len(numbers):
        raise AssertionError(f"{len(times)} commits were seen, and the rows have {len(numbers)}")
    at_of = dict(zip(numbers, times, strict=True))
    return [at_of[commit] - at / 1000 for at, commit in pairs]


def write(pipe: Connection, per_second: int) -> None:
    """Serves a table and puts new items, each with its time in milliseconds, until told to stop."""
    from tests.rigs.scripted import Key, KeySchema, RunningClock, ScriptedDynamoDB, prerendered

    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        rig.calls.keep = False
        table = rig.create_table("load", KeySchema(Key("id")), shards=SHARDS)
        pipe.send(rig.url)
        pipe.recv()
        stop = threading.Event()
        threading.Thread(target=lambda: (pipe.recv(), stop.set()), daemon=True).start()
        began = time.monotonic()
        done = total = 0
        while not stop.wait(SLICE_SECONDS):
            due = int((time.monotonic() - began) * per_second)
            for number in range(done, due):
                made = int(time.time() * 1000)
                item = {**prerendered.flat(number), "made": {"N": str(made)}}
                table.put({"id": {"S": f"id-{number}"}, **item})
                total += made
            done = due
        pipe.send(Written(done, total))
        try:
            pipe.recv()
        except EOFError:
            return
