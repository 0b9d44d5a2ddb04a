"""A process that is killed anywhere leaves no item twice, and the next run mends all."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB

from .routed import KEYS, NAME, ROUTES, Routed, key, order, profile

POINTS = (
    "plan.after_commit",
    "spool.after_rename",
    "load.before_insert",
    "load.before_commit",
    "load.after_commit",
    "commit.after_schema",
    "commit.after_schema:2",
    "commit.after_merge",
    "commit.before_commit",
    "commit.after_commit:2",
)
SETTINGS = {"CONNECTOR_SCAN__SEGMENTS": "2", "CONNECTOR_TAIL__BATCH_RECORDS": "1"}


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedDynamoDB]:
    """A table with more than one page of changes in its stream, many of them of a route."""
    monkeypatch.setattr("tests.rigs.scripted.scan.PAGE_BYTES", 4 * 1024)
    with ScriptedDynamoDB(clock=RunningClock()) as running:
        table = running.create_table(NAME, KEYS)
        table.load([order(n, 1 + n % 2, s={"S": "x" * 200}) for n in range(60)])
        table.load([profile(n) for n in range(20)])
        table.put(*(order(n % 50, 1 + n % 3) for n in range(1010)))
        table.delete(*(key(order(n)) for n in range(40, 60)))
        table.put(*(order(n, 2) for n in range(45, 50)))
        yield running


@pytest.mark.by_turns("url", "point", at_once=4)
@pytest.mark.parametrize("point", POINTS)
def test_the_run_after_a_kill_divides_everything(
    rig: ScriptedDynamoDB, tmp_path: Path, url: str, point: str
) -> None:
    replica = Routed.of(rig, tmp_path, url, ROUTES)
    (tmp_path / "connector.yaml").write_text(
        "tables:\n  app:\n    routes:\n"
        "      - {when: {sk: PROFILE}, into: customers}\n"
        '      - {when: {pk: "C#*", kind: order, v: 2}, into: bought}\n'
        "      - {else: other}\n"
    )
    environment = {"CONNECTOR_FAILPOINT": point, "CONNECTOR_SPOOL": str(tmp_path / "spool")}
    program = Program(tmp_path, rig.url, {**environment, **SETTINGS}, url)
    done = program("sync", NAME, *program.to)
    assert done.code == -signal.SIGKILL, f"{point} was not reached: {done.stderr}"
    replica.settings["scan.segments"] = 2
    if point != "plan.after_commit":
        rows = [row for name in replica.targets for row in replica.keys_in(name)]
        assert len(rows) == len(set(rows))
    replica.model.put(*(order(n, 3) for n in range(10)))
    replica.sync()
    replica.assert_divided()
    assert not list(tmp_path.rglob("*.arrow"))
