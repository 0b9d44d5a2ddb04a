"""The commands of a table with routes, as a process."""

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.program import Program
from tests.rigs.scripted import ScriptedDynamoDB

from .routed import KEYS, NAME, Routed, key, order, profile

pytestmark = pytest.mark.by_turns("url")

FILE = """
tables:
  app:
    routes:
      - {when: {sk: PROFILE}, into: customers}
      - {when: {pk: "C#*", kind: order, v: 2}, into: bought}
      - {else: other}
"""


@pytest.fixture
def program(rig: ScriptedDynamoDB, tmp_path: Path, url: str) -> Program:
    (tmp_path / "connector.yaml").write_text(FILE)
    rig.create_table(NAME, KEYS).load([order(1, 2), order(2, 3), order(3, 3), profile(1)])
    return Program(tmp_path, rig.url, {"CONNECTOR_SPOOL": str(tmp_path / "spool")}, url)


def of(program: Program, rig: ScriptedDynamoDB) -> Routed:
    return Routed.of(rig, program.folder, program.database, [])


def test_every_command_knows_the_targets(program: Program, rig: ScriptedDynamoDB) -> None:
    replica = of(program, rig)
    checked = program("check", NAME, *program.to, "-o", "json")
    assert checked.code == 0, checked.stderr
    needs = [each for each in json.loads(checked.stdout) if each["check"] == "destination table"]
    assert len(needs) == 3
    for need, name in zip(needs, ("customers", "bought", "other"), strict=True):
        assert f"{name} will be created" in need["detail"]
    assert program("sync", NAME, *program.to).code == 0
    (status,) = json.loads(program("status", *program.to, "-o", "json").stdout)
    assert status["targets"] == {"customers": 1, "bought": 1, "other": 2}
    assert (status["rows"], status["into"]) == (4, "customers, bought, other")
    shown = program("status", *program.to).stdout
    assert [line.split()[:3] for line in shown.splitlines()[2:]] == [
        [NAME, "→", name] for name in ("customers", "bought", "other")
    ]
    verdict = json.loads(program("verify", NAME, *program.to, "-o", "json").stdout)
    assert verdict["equal"]
    assert {name: each["matching"] for name, each in verdict["targets"].items()} == {
        "customers": 1,
        "bought": 1,
        "other": 2,
    }
    assert "matching in other" in program("verify", NAME, *program.to).stdout
    move = "INSERT INTO {} (pk, sk, _changed_at, _commit) SELECT pk, sk, _changed_at, _commit"
    replica.by_hand(f"{move.format('bought')} FROM other WHERE pk = 'C#2'")
    replica.by_hand("DELETE FROM customers")
    replica.model.put(profile(9))
    done = program("verify", NAME, *program.to, "-o", "json")
    assert done.code == 3
    found = json.loads(done.stdout)
    assert (found["different"]["count"], found["missing"]["count"]) == (1, 1)
    assert found["targets"]["customers"] == {
        "matching": 1,
        "missing": 1,
        "extra": 0,
        "different": 0,
    }
    mended = program("verify", NAME, "--repair", *program.to, "-o", "json")
    assert mended.code == 0, mended.stderr
    assert json.loads(mended.stdout)["repaired"]["count"] == 2
    assert json.loads(program("verify", NAME, *program.to, "-o", "json").stdout)["equal"]
    asked = program("query", *program.to, "SELECT pk FROM other ORDER BY pk", "-o", "json")
    assert json.loads(asked.stdout) == [{"pk": "C#2"}, {"pk": "C#3"}]
    replica.model.put(order(2, 2))
    replica.model.delete(key(order(3)))
    assert program("tail", NAME, *program.to).code == 0
    (status,) = json.loads(program("status", *program.to, "-o", "json").stdout)
    assert status["targets"] == {"customers": 2, "bought": 2, "other": 0}
    assert program("reset", NAME, "--drop", "--yes", *program.to).code == 0
    assert json.loads(program("status", *program.to, "-o", "json").stdout)[0]["rows"] is None


def test_a_name_that_is_taken_is_named(program: Program, rig: ScriptedDynamoDB) -> None:
    replica = of(program, rig)
    replica.by_hand("CREATE TABLE bought (a INT)")
    checked = program("check", NAME, *program.to, "-o", "json")
    assert checked.code == 2
    details = [need["detail"] for need in json.loads(checked.stdout) if not need["ok"]]
    assert len(details) == 1 and "bought" in details[0]
    done = program("sync", NAME, *program.to)
    assert done.code == 2
    assert "bought exists and was not created by the connector" in done.stderr
    assert (
        replica.sql(
            "SELECT table_name FROM information_schema.tables WHERE table_name = 'customers'"
        )
        == []
    )


def test_an_object_on_a_later_target_is_named(program: Program, rig: ScriptedDynamoDB) -> None:
    replica = of(program, rig)
    assert program("sync", NAME, *program.to).code == 0
    kind, place = ("VIEW", "public") if program.database else ("INDEX", "main")
    what = "AS SELECT v FROM other" if program.database else "ON other (v)"
    replica.by_hand(f"CREATE {kind} of_others {what}")
    replica.model.put({**order(2), "v": {"S": "three"}})
    done = program("sync", NAME, *program.to)
    assert done.code == 2
    assert f"{place}.other" in done.stderr and "of_others" in done.stderr
    replica.by_hand(f"DROP {kind} of_others")
    assert program("sync", NAME, *program.to).code == 0


def test_the_schema_of_all_targets_changes(program: Program, rig: ScriptedDynamoDB) -> None:
    assert program("sync", NAME, *program.to).code == 0
    replica = of(program, rig)
    replica.model.put(order(1, 3))
    moved = program.with_(CONNECTOR_DESTINATION__SCHEMA="elsewhere")
    done = moved("sync", NAME, *program.to)
    assert done.code == 0, done.stderr
    for name, rows in (("customers", 1), ("bought", 0), ("other", 3)):
        assert replica.sql(f"SELECT count(*) FROM elsewhere.{name}") == [(rows,)]
    verdict = json.loads(moved("verify", NAME, *program.to, "-o", "json").stdout)
    assert verdict["equal"]


def test_changed_routes_are_refused_with_the_command(program: Program) -> None:
    assert program("sync", NAME, *program.to).code == 0
    file = program.folder / "connector.yaml"
    file.write_text(FILE.replace("v: 2", "v: 3"))
    done = program("sync", NAME, *program.to)
    assert done.code == 2
    assert f"connector snapshot {NAME} --full-refresh" in done.stderr
    assert program("snapshot", NAME, "--full-refresh", "--yes", *program.to).code == 0
    (status,) = json.loads(program("status", *program.to, "-o", "json").stdout)
    assert status["targets"] == {"customers": 1, "bought": 2, "other": 1}


@pytest.mark.by_turns("url", "synced")
@pytest.mark.parametrize("synced", [True, False])
def test_what_is_inferred_leaves_each_target_its_own_columns(
    program: Program, rig: ScriptedDynamoDB, synced: bool
) -> None:
    rig.model(NAME).put(profile(2, kind={"S": "customer"}, name={"S": "Ada"}, v={"N": "1"}))
    if synced:
        assert program("sync", NAME, *program.to).code == 0
    done = program("schema", "infer", NAME, *program.to)
    assert done.code == 0, done.stderr
    file = program.folder / "schemas" / f"{NAME}.yaml"
    text = file.read_text()
    assert ("main.customers" in text or "public.customers" in text) == synced
    assert "# An entry has no type if none would be that of its column in each target." in text
    columns = yaml.safe_load(text)["columns"]
    assert columns == {
        "pk": {},
        "sk": {},
        "kind": {"type": "string"},
        "v": {"type": "integer"},
        "name": {},
    }
    file.write_text(text.replace("name: {}", "name: {description: As she writes it.}"))
    assert program("sync", NAME, *program.to).code == 0
    differing = program("schema", "diff", NAME, *program.to, "-o", "json")
    assert (differing.code, json.loads(differing.stdout)) == (0, [])
    replica = of(program, rig)
    sql = "SELECT table_name FROM information_schema.columns WHERE column_name = 'name'"
    assert replica.sql(f"{sql} AND table_name IN ('customers', 'bought', 'other')") == [
        ("customers",)
    ]
    assert program("verify", NAME, *program.to).code == 0
