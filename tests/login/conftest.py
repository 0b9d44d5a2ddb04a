"""A scripted table that admits only the keys which the services on loopback handed out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.pipeline.replica import ORDERS, SCHEMA, order
from tests.rigs.logins import Logins
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB

from .account import Account


@pytest.fixture(scope="module")
def rig() -> Iterator[ScriptedDynamoDB]:
    """A scripted server with a small table of orders."""
    with ScriptedDynamoDB(clock=RunningClock()) as running:
        orders = running.create_table(ORDERS, SCHEMA)
        orders.load(order(n, n) for n in range(20))
        yield running


@pytest.fixture
def logins() -> Iterator[Logins]:
    """The services that hand out credentials."""
    with Logins() as running:
        yield running


@pytest.fixture
def account(rig: ScriptedDynamoDB, logins: Logins, tmp_path: Path) -> Iterator[Account]:
    """An account whose table admits the keys of `logins`, and a program without credentials."""
    rig.faults.clear()
    rig.calls.clear()
    made = Account(Program(tmp_path, rig.url), rig, logins)
    rig.admits = made.admits
    yield made
    rig.admits = lambda key: None
