"""A stream of many shards in which nothing happens: what it costs to wait."""

import json
import os
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.snapshots import connector
from benchmarks.warehouses import DuckDBFile, compare
from connector.errors import Interrupted

ITEMS = 1000


@dataclass(frozen=True)
class Idle:
    """Requests per second and the share of one core, over the seconds after the tail settled."""

    shards: int
    seconds: float
    get_records: float
    other_requests: float
    core: float


def idle(shards: int, settle: float, seconds: float) -> Idle:
    """Follows a small table whose stream has so many open, empty shards."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs, shards))
    server.start()
    try:
        with TemporaryDirectory(prefix="connector-bench-") as name:
            return _follow(ours, Path(name), shards, settle, seconds)
    finally:
        ours.close()
        server.join()


def _follow(pipe: Connection, folder: Path, shards: int, settle: float, seconds: float) -> Idle:
    url = pipe.recv()
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-west-2",
        "AWS_ENDPOINT_URL_DYNAMODB": url,
        "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": url,
    }
    place = DuckDBFile(folder)
    command = connector("sync", place, "--follow", "--quiet")
    program = subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        time.sleep(settle)
        began, before, used = time.monotonic(), _calls(pipe), _seconds_of(program.pid)
        time.sleep(seconds)
        after, now_used, took = _calls(pipe), _seconds_of(program.pid), time.monotonic() - began
    finally:
        program.terminate()
        _, said = program.communicate(timeout=30)
    if program.returncode != Interrupted.exit_code:
        raise AssertionError(f"the program ended with {program.returncode}: {said}")
    compare(place, "SELECT count(DISTINCT id), sum(n) FROM load", ITEMS, sum(range(ITEMS)))
    made = {name: after[name] - before.get(name, 0) for name in after}
    records = made.pop("GetRecords", 0)
    return Idle(shards, took, records / took, sum(made.values()) / took, (now_used - used) / took)


def _calls(pipe: Connection) -> dict[str, int]:
    pipe.send("count")
    found: dict[str, int] = json.loads(pipe.recv())
    return found


def _seconds_of(process: int) -> float:
    """Processor seconds that a process has used; the kernel counts in hundredths."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def serve(pipe: Connection, shards: int) -> None:
    """Serves a small table until the pipe closes; answers how often each operation was called."""
    from tests.rigs.scripted import Key, KeySchema, RunningClock, ScriptedDynamoDB

    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        table = rig.create_table("load", KeySchema(Key("id")), shards=shards)
        table.load({"id": {"S": f"id-{n}"}, "n": {"N": str(n)}} for n in range(ITEMS))
        pipe.send(rig.url)
        while True:
            try:
                pipe.recv()
            except EOFError:
                return
            pipe.send(json.dumps(Counter(call.operation for call in rig.calls)))
