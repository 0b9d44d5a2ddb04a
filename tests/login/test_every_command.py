"""Every command that logs in meets every log-in that cannot work: none takes it for a bug."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.cli.test_unexpected import COMMANDS, assert_all_foreseen
from tests.pipeline.replica import ORDERS
from tests.rigs.combinations import turn
from tests.rigs.logins import Logins
from tests.rigs.scripted import ScriptedDynamoDB

from .account import ANONYMOUS, Account
from .test_refusals import CASES, Case, assert_no_secret

# What its tests share is made once, by one process.
pytestmark = pytest.mark.xdist_group("login_every_command")

NEW = ("--to", "duckdb:///new.duckdb")
LOGGING_IN = {"sync of two as JSON": NEW, "tail": (), "check as JSON": (), "verify": ()}
"""One command for each way that leads to AWS; `snapshot` goes that of `sync`."""


@pytest.fixture(scope="module")
def synced_once(rig: ScriptedDynamoDB, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the orders were synced."""
    made = Program(tmp_path_factory.mktemp("synced"), rig.url)
    done = made("sync", ORDERS, *made.to)
    assert done.code == 0, done.stderr
    return made.folder


@pytest.fixture(scope="module")
def all_logins() -> Iterator[Logins]:
    """The services that hand out credentials, for every test."""
    with Logins() as running:
        yield running


@pytest.fixture
def logins(all_logins: Logins) -> Logins:
    """Those services, as they are without faults."""
    all_logins.mend()
    return all_logins


# Each of them is refused in its own words in `test_refusals.py`.
@pytest.mark.by_turns("number", "case", at_once=60)
@pytest.mark.parametrize(("number", "case"), [*enumerate(CASES.values())], ids=list(CASES))
def test_no_command_takes_a_log_in_for_a_bug(
    synced_once: Path, account: Account, number: int, case: Case
) -> None:
    shutil.copytree(synced_once, account.home, dirs_exist_ok=True)
    case.prepare(account)
    found = {**ANONYMOUS, **account.logins.variables, **account.variables, **case.variables}
    program = account.program.with_(**{"CONNECTOR_SOURCE__RETRY_SECONDS": "0.2"}, **found)
    commands = turn([*LOGGING_IN.items()], number)
    lines = [(*COMMANDS[name](ORDERS), *(to or program.to)) for name, to in commands]
    said = assert_all_foreseen(program, *lines)
    assert_no_secret(said)
    assert "Error: " in said
