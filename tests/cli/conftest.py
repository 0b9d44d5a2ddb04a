"""A scripted table of orders, and the program that reads it."""

import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.replica import ORDERS, SCHEMA, order
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB, faults

from .program import Program, ended, wait_until


@pytest.fixture(scope="module")
def rig() -> Iterator[ScriptedDynamoDB]:
    """A scripted server with a table of forty orders, four pages long."""
    with pytest.MonkeyPatch.context() as patch, ScriptedDynamoDB(clock=RunningClock()) as running:
        patch.setattr("tests.rigs.scripted.scan.PAGE_BYTES", 10 * 1024)
        orders = running.create_table(ORDERS, SCHEMA)
        dice = random.Random(1)
        orders.load({**order(n, n), "padding": {"S": dice.randbytes(500).hex()}} for n in range(40))
        yield running


@pytest.fixture(autouse=True)
def no_faults(rig: ScriptedDynamoDB) -> None:
    """Each test begins without the faults of the one before."""
    rig.faults.clear()
    rig.calls.clear()


@pytest.fixture
def program(rig: ScriptedDynamoDB, tmp_path: Path) -> Program:
    """The program in an empty folder."""
    return Program(tmp_path, rig.url)


@pytest.fixture(scope="module")
def synced_once(rig: ScriptedDynamoDB, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the orders were synced."""
    made = Program(tmp_path_factory.mktemp("synced"), rig.url)
    done = made("sync", ORDERS, *made.to)
    assert done.code == 0, done.stderr
    return made.folder


@pytest.fixture
def synced(synced_once: Path, rig: ScriptedDynamoDB, tmp_path: Path) -> Program:
    """The program in a copy of the folder in which the orders were synced."""
    shutil.copytree(synced_once, tmp_path, dirs_exist_ok=True)
    return Program(tmp_path, rig.url)


@pytest.fixture(scope="module")
def begun_once(rig: ScriptedDynamoDB, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a scan of the orders was stopped: a state and a spool."""
    program = Program(tmp_path_factory.mktemp("begun"), rig.url)
    rig.faults.add(faults.delay(0.5), on="Scan", times=100)
    process = program.start("sync", ORDERS, *program.to)
    wait_until(lambda: rig.calls.count("Scan") > 2, process)
    done = ended(process, signal.SIGTERM)
    rig.faults.clear()
    assert done.code == 130, done.stderr
    assert list(program.folder.rglob("*.arrow"))
    return program.folder


@pytest.fixture
def begun(begun_once: Path, rig: ScriptedDynamoDB, tmp_path: Path) -> Program:
    """The program in a copy of that folder."""
    shutil.copytree(begun_once, tmp_path, dirs_exist_ok=True)
    return Program(tmp_path, rig.url)
