"""A contract holds for every way in; what somebody changes in its columns is found and repaired."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.core.spec import spec_of
from connector.events import quiet
from connector.job import open_segment_scan
from connector.stop import Stop
from tests.cli.program import Program
from tests.exports.replica import Exported
from tests.pipeline.replica import ORDERS, SCHEMA, Replica, key
from tests.rigs import exports
from tests.rigs.scripted import ScriptedDynamoDB

from .conftest import Made

pytestmark = pytest.mark.by_turns("make")

COLUMNS = {
    "at": {"type": "timestamp", "from": "epoch_ms"},
    "total": {"type": "decimal(8,2)", "required": True},
}


def item(n: int, fits: bool = True) -> dict[str, Any]:
    """An item that fits or does not."""
    at = {"N": str(1_700_000_000_000 + n)} if fits else {"S": f"wrong {n}"}
    return {**key(n), "at": at, "total": {"N": f"{n}.25"}}


def shown(replica: Replica) -> dict[str, tuple[Any, ...]]:
    """Whether each row has a time, its total, and what of it did not fit."""
    rest = "_rest" if "_rest" in columns(replica) else "NULL"
    found = replica.sql(
        f'SELECT id, "at" IS NOT NULL, CAST(total AS VARCHAR), {rest} FROM {ORDERS}'
    )
    return {
        id_: (there, total, rest and json.loads(rest)["at"]) for id_, there, total, rest in found
    }


def columns(replica: Replica) -> set[str]:
    """The columns of the table."""
    found = replica.sql(
        f"SELECT column_name FROM information_schema.columns WHERE table_name = '{ORDERS}'"
    )
    return {name for (name,) in found}


def wanted(*numbers: int, wrong: tuple[int, ...] = ()) -> dict[str, tuple[Any, ...]]:
    """What `shown` must be."""
    fits = {str(n): (True, f"{n}.25", None) for n in numbers}
    return fits | {str(n): (False, f"{n}.25", f"wrong {n}") for n in wrong}


@pytest.mark.by_turns("make", "view")
@pytest.mark.parametrize("view", ["KEYS_ONLY", "OLD_IMAGE", "NEW_IMAGE"])
def test_items_that_are_looked_up(make: Made, view: str) -> None:
    replica = make(COLUMNS)
    replica.model.stream.view_type = view
    replica.model.load(item(n, n > 0) for n in range(4))
    replica.sync()
    assert shown(replica) == wanted(1, 2, 3, wrong=(0,))
    replica.model.put(item(0), item(1, fits=False), item(4, fits=False))
    replica.model.delete(key(2))
    replica.sync()
    assert shown(replica) == wanted(0, 3, wrong=(1, 4))
    assert replica.verdict().equal


@pytest.mark.parametrize("form", exports.FORMS)
def test_items_from_an_export(rig: ScriptedDynamoDB, tmp_path: Path, form: Any) -> None:
    rig.clock.advance(hours=-3)
    rig.create_table(ORDERS, SCHEMA).load(item(n, n > 2) for n in range(9))
    rig.clock.advance(hours=3)
    replica = Exported(rig, tmp_path)
    replica.keep(columns=COLUMNS)
    replica.export(timedelta(seconds=2), files=2, form=form)
    replica.model.put(item(9), item(1))
    replica.sync()
    assert shown(replica) == wanted(1, *range(3, 10), wrong=(0, 2))
    replica.assert_no_scan()


def test_a_table_that_is_read_whole_each_time(make: Made) -> None:
    replica = make(COLUMNS, follow="none")
    replica.model.load(item(n, n > 0) for n in range(3))
    replica.sync()
    replica.model.put(item(0), item(1, fits=False))
    replica.sync()
    assert shown(replica) == wanted(0, 2, wrong=(1,))
    assert replica.verdict().equal


def test_scans_in_processes_and_workers_elsewhere_know_the_contract(make: Made) -> None:
    replica = make(COLUMNS, contract="quarantine")
    replica.settings |= {"scan.workers": 2, "scan.segments": 4}
    replica.model.load(item(n, n > 1) for n in range(40))
    replica.sync()
    assert shown(replica) == wanted(*range(2, 40))
    replica.settings |= {"scan.segments": 1}
    state = replica.run().planned()
    assert state.spec is not None
    assert spec_of(json.loads(json.dumps(state.spec.plain()))) == state.spec


def test_a_task_has_the_contract_from_the_plan(make: Made) -> None:
    replica = make(COLUMNS)
    replica.model.load(item(n, n > 0) for n in range(3))
    state = replica.run().planned()
    assert state.spec is not None
    spec = spec_of(json.loads(json.dumps(state.spec.plain())))
    about: dict[str, Any] = {"plan_id": state.plan_id, "segments": 1, "spec": spec}
    about |= {"listener": quiet, "stop": Stop.never()}
    assert open_segment_scan(replica.config(), ORDERS, **about).run(0)
    replica.sync()
    assert shown(replica) == wanted(1, 2, wrong=(0,))
    assert replica.verdict().equal


@pytest.mark.by_turns("policy")
@pytest.mark.parametrize("policy", ["evolve", "quarantine"])
def test_a_table_that_is_followed_by_kinesis(
    rig: ScriptedDynamoDB, tmp_path: Path, policy: str
) -> None:
    table = rig.create_table(ORDERS, SCHEMA, view=None)
    table.load(item(n, n > 0) for n in range(5))
    arn = rig.add_kinesis(ORDERS, shards=2).arn
    settings = {"follow": "kinesis", "kinesis": arn, "columns": COLUMNS, "contract": policy}
    (tmp_path / "connector.yaml").write_text(json.dumps({"tables": {ORDERS: settings}}))
    program = Program(tmp_path, rig.url, {"AWS_ENDPOINT_URL_KINESIS": rig.url})
    said = [program("sync", ORDERS, *program.to)]
    table.put(item(0), item(1, fits=False), item(5))
    table.delete(key(2))
    said += [program("sync", ORDERS, *program.to)]
    assert [done.code for done in said] == [0, 0], [done.stderr for done in said]
    wrong = (1,) if policy == "evolve" else ()
    assert shown(Replica(rig, tmp_path)) == wanted(0, 3, 4, 5, wrong=wrong)
    verified = program("verify", ORDERS, *program.to)
    assert verified.code == (0 if policy == "evolve" else 3)


BY_HAND = {
    "a time": "UPDATE orders SET \"at\" = '2020-01-01T00:00:00Z' WHERE id = '1'",
    "a microsecond": "UPDATE orders SET \"at\" = \"at\" + interval '1 microsecond' WHERE id = '1'",
    "a null": "UPDATE orders SET \"at\" = NULL WHERE id = '1'",
    "a total": "UPDATE orders SET total = total + 0.01 WHERE id = '1'",
    "a guess": "UPDATE orders SET \"at\" = '2020-01-01T00:00:00Z' WHERE id = '0'",
    "a loss": "UPDATE orders SET _rest = NULL WHERE id = '0'",
    "both": "UPDATE orders SET _rest = '{\"total\": 1.25}' WHERE id = '1'",
}


def test_what_somebody_changed_is_found_and_repaired(
    rig: ScriptedDynamoDB, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    rig.create_table(ORDERS, SCHEMA).load(item(n, n > 0) for n in range(3))
    replica = Replica(rig, tmp_path, settings={"tables": {ORDERS: {"columns": COLUMNS}}})
    replica.sync()
    assert replica.verdict().equal
    (tmp_path / "connector.yaml").write_text(json.dumps({"tables": {ORDERS: {"columns": COLUMNS}}}))
    program = Program(tmp_path, rig.url)
    for how, statement in BY_HAND.items():
        with subtests.test(how):
            replica.by_hand(statement)
            assert replica.verdict().different.count == 1
            done = program("verify", ORDERS, "--repair", *program.to)
            assert done.code == 0, done.stderr
            assert shown(replica) == wanted(1, 2, wrong=(0,))
