"""Rules are the same for every way in, and for scans in threads and in processes."""

import base64
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.core.rules.hash_key import HashKey
from connector.core.rules.sealing import Seal
from connector.core.spec import spec_of
from connector.errors import ConfigError, ConnectorError, StateRefused
from connector.events import quiet
from connector.job import open_segment_scan
from connector.stop import Stop
from tests.cli.program import Program
from tests.exports.replica import Exported
from tests.pipeline.replica import ORDERS, SCHEMA, Replica, key, polled
from tests.rigs.scripted import ScriptedDynamoDB

from .conftest import Made
from .oracle import KEY, digest

pytestmark = pytest.mark.by_turns("make")

COLUMNS = {"id": {"hash": True}, "email": {"hash": True}, "gone": {"exclude": True}}


def item(n: int, mail: str = "mail") -> dict[str, Any]:
    """An item of these tests."""
    return {**key(n), "email": {"S": f"{mail} {n}"}, "gone": {"S": "canary"}}


def shown(replica: Replica) -> dict[str, str]:
    """The digests of the mails by those of the keys."""
    return dict(replica.sql(f"SELECT id, email FROM {ORDERS}"))


def wanted(*numbers: int, mail: str = "mail") -> dict[str, str]:
    """What `shown` must be."""
    return {digest({"S": str(n)}): digest({"S": f"{mail} {n}"}) for n in numbers}


@pytest.mark.parametrize("view", ["KEYS_ONLY", "OLD_IMAGE"])
def test_items_that_are_looked_up(make: Made, view: str) -> None:
    replica = make(COLUMNS)
    replica.model.stream.view_type = view
    replica.model.load(item(n) for n in range(3))
    replica.sync()
    replica.model.put(item(3), item(1, "new"))
    replica.model.delete(key(0))
    replica.sync()
    assert shown(replica) == wanted(2, 3) | wanted(1, mail="new")
    assert replica.verdict().equal


def test_items_from_an_export(rig: ScriptedDynamoDB, tmp_path: Path) -> None:
    rig.clock.advance(hours=-3)
    rig.create_table(ORDERS, SCHEMA).load(item(n) for n in range(9))
    rig.clock.advance(hours=3)
    replica = Exported(rig, tmp_path)
    replica.keep(columns=COLUMNS)
    replica.export(timedelta(seconds=2), files=2)
    replica.model.put(item(9))
    replica.sync()
    assert shown(replica) == wanted(*range(10))
    replica.assert_no_scan()


def test_a_table_that_is_read_whole_each_time(make: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = make(COLUMNS, follow="none")
    replica.model.load(item(n) for n in range(3))
    replica.sync()
    replica.model.put(item(1, "new"))
    replica.sync()
    assert shown(replica) == wanted(0, 2) | wanted(1, mail="new")
    assert replica.verdict().equal


def test_scans_in_processes_have_the_key_from_their_environment(make: Made) -> None:
    replica = make(COLUMNS)
    replica.settings |= {"scan.workers": 2, "scan.segments": 4}
    replica.model.load(item(n) for n in range(40))
    replica.sync()
    assert shown(replica) == wanted(*range(40))


def test_a_worker_elsewhere_must_have_the_same_key(
    make: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = make(COLUMNS)
    replica.model.load(item(n) for n in range(3))
    state = replica.run().planned()
    assert state.spec is not None
    spec = spec_of(json.loads(json.dumps(state.spec.plain())))
    assert KEY.decode() not in repr((state, spec, replica.config(), state.spec.plain()))
    about: dict[str, Any] = {"plan_id": state.plan_id, "segments": 1, "spec": spec}
    about |= {"listener": quiet, "stop": Stop.never()}
    for value in ("another key of another worker", ""):
        monkeypatch.setenv("CONNECTOR_HASH_KEY", value)
        with pytest.raises(ConfigError, match="CONNECTOR_HASH_KEY"):
            open_segment_scan(replica.config(), ORDERS, **about)
    monkeypatch.setenv("CONNECTOR_HASH_KEY", KEY.decode())
    assert open_segment_scan(replica.config(), ORDERS, **about).run(0)
    replica.sync()
    assert shown(replica) == wanted(*range(3))


def test_positions_in_the_spool_are_sealed_and_a_scan_goes_on_from_them(
    make: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.rigs.scripted.scan.PAGE_BYTES", 2048)
    monkeypatch.setattr("connector.pipeline.scan.LINK_ROWS", 1)
    replica = make(COLUMNS)
    replica.settings["spool"] = str(replica.folder / "spool")
    replica.model.load({**key(f"canary {n}"), "email": {"S": "x" * 500}} for n in range(30))
    pages = 0

    def stopped() -> bool:
        nonlocal pages
        pages = replica.rig.calls.count("Scan")
        return pages >= 4

    with pytest.raises(ConnectorError):
        replica.run(polled(stopped)).snapshot()
    files = list(Path(replica.folder / "spool").rglob("*.arrow"))
    assert len(files) >= 3
    for file in files:
        content = file.read_bytes()
        assert b"canary" not in content
        assert base64.b64encode(b"canary")[:7] not in content
        assert b"sealed:" in content
    replica.sync()
    assert len(shown(replica)) == 30
    # It did not begin again.
    assert replica.rig.calls.count("Scan") < 2 * pages + len(files)
    assert replica.verdict().equal


def test_a_seal_hides_its_text_and_is_opened_by_its_key_and_table_alone() -> None:
    seal = Seal(HashKey(KEY), ORDERS)
    text = '{"id":{"S":"canary"}}'
    closed = seal.close(text)
    assert seal.open(closed) == text
    assert closed == Seal(HashKey(KEY), ORDERS).close(text)
    assert closed != seal.close(text + " ")
    assert "canary" not in closed
    for other in (Seal(HashKey(b"another"), ORDERS), Seal(HashKey(KEY), "others")):
        with pytest.raises(StateRefused):
            other.open(closed)
    for damaged in (closed[:-4], text, "sealed:", closed.replace("sealed:", "sealed:AAAA")):
        with pytest.raises(StateRefused):
            seal.open(damaged)


def test_the_key_is_shown_by_nothing() -> None:
    key_ = HashKey(KEY)
    assert KEY.decode() not in repr(key_) + str(key_) + key_.check
    assert os.environ["CONNECTOR_HASH_KEY"] == KEY.decode()
    with pytest.raises(TypeError):
        key_.__reduce__()


def test_a_table_that_is_followed_by_kinesis(rig: ScriptedDynamoDB, tmp_path: Path) -> None:
    table = rig.create_table(ORDERS, SCHEMA, view=None)
    table.load(item(n) for n in range(5))
    arn = rig.add_kinesis(ORDERS, shards=2).arn
    settings = {"follow": "kinesis", "kinesis": arn, "columns": COLUMNS}
    (tmp_path / "connector.yaml").write_text(json.dumps({"tables": {ORDERS: settings}}))
    program = Program(
        tmp_path,
        rig.url,
        {"AWS_ENDPOINT_URL_KINESIS": rig.url, "CONNECTOR_HASH_KEY": KEY.decode()},
    )
    said = [program("sync", ORDERS, *program.to)]
    table.put(item(1, "new"), item(5), {**item(6, "canary"), "broken": {"ZZ": "x"}})
    table.put(*(item(1, f"new {n}") for n in range(5)), item(1, "new"))
    table.delete(key(2))
    said += [program(*line, *program.to) for line in (("sync", ORDERS), ("verify", ORDERS))]
    assert [done.code for done in said[:2]] == [0, 0], [done.stderr for done in said]
    assert shown(Replica(rig, tmp_path)) == wanted(0, 3, 4, 5) | wanted(1, mail="new")
    replica = Replica(rig, tmp_path)
    ((quarantined, raw),) = replica.sql("SELECT key, raw FROM _connector.quarantine")
    assert quarantined == f'["{digest({"S": "6"})}"]'
    assert "broken" in raw
    for file in tmp_path.rglob("warehouse*"):
        assert b"canary" not in file.read_bytes()
    assert not any("canary" in done.stdout + done.stderr for done in said)
