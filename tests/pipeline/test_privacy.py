"""What the program calls, and what it tells: nothing that writes, no item, no secret."""

import logging
import traceback

import pytest

from connector.errors import ConnectorError
from connector.job import drop_spool
from connector.sources.dynamodb.client import READ_ONLY, open_clients
from tests.rigs.scripted import faults

from .replica import Replica, change, key, order

SECRETS = {
    "AWS_ACCESS_KEY_ID": "CANARYKEYID",
    "AWS_SECRET_ACCESS_KEY": "canary-secret-key",
    "AWS_SESSION_TOKEN": "canary-session-token",
}
VALUE = "canary-item-value"


@pytest.fixture
def secret(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> Replica:
    """A replica whose items and credentials are full of canaries."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    replica.model.put(*({**order(f"{VALUE}-key-{n}", n), "s": {"S": VALUE}} for n in range(5)))
    return replica


def assert_silent(text: str) -> None:
    """None of the canaries is in a text."""
    for canary in (VALUE, *SECRETS.values()):
        assert canary not in text


def test_no_run_calls_anything_that_could_write(replica: Replica) -> None:
    change(replica)
    replica.sync()
    replica.model.stream.split()
    change(replica, 2)
    replica.sync()
    replica.run().snapshot(full_refresh=True, yes=True)
    assert replica.verdict().equal
    drop_spool(replica.config(), replica.state())
    called = {call.operation for call in replica.rig.calls}
    assert called <= {"DescribeTable", "Scan", "DescribeStream", "GetShardIterator", "GetRecords"}


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("put_item", {"Item": key(1)}),
        ("delete_item", {"Key": key(1)}),
        ("update_item", {"Key": key(1)}),
        ("update_table", {}),
        ("delete_table", {}),
        ("update_time_to_live", {}),
    ],
)
def test_the_clients_refuse_what_is_not_on_the_list(
    replica: Replica, operation: str, parameters: dict[str, object]
) -> None:
    clients = open_clients(replica.config().source)
    with pytest.raises(PermissionError):
        getattr(clients.dynamodb, operation)(TableName="orders", **parameters)
    assert len(replica.rig.calls) == 0
    assert not any(name.startswith(("Put", "Update", "Delete", "Create")) for name in READ_ONLY)


def test_the_log_at_debug_holds_no_item_and_no_secret(
    secret: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("botocore", "urllib3", "boto3", "connector"):
        caplog.set_level(logging.DEBUG, name)
    secret.rig.faults.add(faults.throttle(), on="Scan", times=2)
    secret.rig.faults.add(faults.html(), on="GetRecords", times=2)
    secret.sync()
    secret.model.put({**key(f"{VALUE}-bad"), "s": {"ZZ": VALUE}})
    secret.model.delete(key(f"{VALUE}-key-1"))
    secret.sync()
    assert any(record.name.startswith("connector") for record in caplog.records)
    assert_silent(caplog.text)


def failing_scan(replica: Replica) -> None:
    replica.rig.faults.add(faults.cut_body(0.9), on="Scan", times=10_000)


def failing_stream(replica: Replica) -> None:
    replica.rig.faults.add(faults.cut_body(0.9), on="GetRecords", times=10_000)


def bad_items(replica: Replica) -> None:
    replica.settings["quarantine.limit"] = 0
    replica.model.load([{**key(f"{VALUE}-bad"), "s": {"ZZ": VALUE}}])


def bad_records(replica: Replica) -> None:
    replica.settings["quarantine.limit"] = 0
    replica.model.put({**key(f"{VALUE}-bad"), "s": {"N": VALUE}})


@pytest.mark.parametrize("break_it", [failing_scan, failing_stream, bad_items, bad_records])
def test_an_error_tells_no_item_and_no_secret(secret: Replica, break_it: object) -> None:
    assert callable(break_it)
    secret.settings["source.retry_seconds"] = 0.1
    break_it(secret)
    with pytest.raises(ConnectorError) as caught:
        secret.sync()
    assert_silent(str(caught.value))
    assert_silent("".join(traceback.format_exception(caught.value)))
