"""Runs the program once in a process that waits, so that a run finds what libraries keep.

They make much of it when it is first asked for: adapters, compiled statements, models of services.
"""

import gc
import io
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from connector.destinations.duckdb.session import connection, instance
from tests.rigs.scripted import Key, KeySchema, RunningClock, ScriptedDynamoDB

from .spare_duckdb import install, spare

TABLE = "warm"
LINES = (("sync", TABLE), ("status",), ("verify", TABLE), ("check", TABLE))


def warm(run: Callable[[list[str]], int]) -> None:
    """Replicates a table of one item, and leaves nothing of it but what is the same for any run."""
    install()
    with (
        ScriptedDynamoDB(clock=RunningClock()) as rig,
        tempfile.TemporaryDirectory() as folder,
        _environment(rig.url, folder),
    ):
        rig.create_table(TABLE, KeySchema(Key("id"))).load([{"id": {"S": "1"}}])
        for line in LINES:
            said = io.StringIO()
            with redirect_stdout(io.StringIO()), redirect_stderr(said):
                code = run([*line, "--to", f"duckdb:///{folder}/warehouse.duckdb"])
            assert code == 0, said.getvalue()
    _forget()
    spare.start()


@contextmanager
def _environment(url: str, folder: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(
        {
            "HOME": folder,
            "AWS_REGION": "us-west-2",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "CONNECTOR_SPOOL": str(Path(folder) / "spool"),
            "CONNECTOR_SOURCE__ENDPOINT_URL": url,
            "CONNECTOR_SCAN__SEGMENTS": "1",
            "CONNECTOR_TAIL__QUIET_SECONDS": "0.06",
            "CONNECTOR_TAIL__POLL_SECONDS": "0.02",
            "CONNECTOR_TAIL__IDLE_POLL_SECONDS": "0.05",
        }
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _forget() -> None:
    """A fork has no threads, no open file and no log of the run."""
    connection._gates.clear()
    resting, instance._rest._instance = instance._rest._instance, None
    if resting is not None:
        resting.end()
    logger = logging.getLogger("connector")
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)
    logger.propagate = True
    # Connections to the server are in cycles.
    gc.collect()
    assert threading.enumerate() == [threading.main_thread()]
