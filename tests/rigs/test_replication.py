"""The rig's Regions: told apart by the signature, each with its own table, and replication."""

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from .scripted import Key, KeySchema, Replication, ScriptedDynamoDB, connect, global_table

WEST, EAST = "us-west-2", "ap-southeast-2"
SCHEMA = KeySchema(Key("id"))
A = {"id": {"S": "a"}}


@pytest.fixture(scope="module")
def running() -> Iterator[ScriptedDynamoDB]:
    """One server for all of them."""
    with ScriptedDynamoDB() as made:
        yield made


@pytest.fixture
def rig(running: ScriptedDynamoDB) -> ScriptedDynamoDB:
    """A server with two Regions."""
    running.reset()
    running.add_region(EAST)
    return running


@pytest.fixture
def group(rig: ScriptedDynamoDB) -> Replication:
    """A global table whose writes arrive ten seconds later."""
    return global_table("orders", SCHEMA, rig, rig.regions[EAST], delay=10)


def value(group: Replication, region: str) -> str | None:
    """What one Region has."""
    group.settle()
    found = group.tables[region].get(A)
    return found["n"]["N"] if found else None


def put(group: Replication, region: str, n: int) -> None:
    """A write in one Region."""
    group.tables[region].put({**A, "n": {"N": str(n)}})


def test_a_request_sees_the_region_that_it_is_signed_for(rig, group):
    for region in (WEST, EAST):
        client = connect(rig.url, region=region)
        found = client.describe_table(TableName="orders")["Table"]
        assert found["TableArn"].split(":")[3] == region
        others = [each["RegionName"] for each in found["Replicas"]]
        assert others == [WEST if region == EAST else EAST]
        client.close()
    assert (rig.calls.count("DescribeTable"), rig.regions[EAST].calls.count("DescribeTable")) == (
        1,
        1,
    )


def test_a_region_has_tables_and_streams_of_its_own(rig, group):
    west, east = group.tables[WEST], group.tables[EAST]
    assert len({west.id, east.id}) == len({west.stream.arn, east.stream.arn}) == 2
    rig.create_table("alone", SCHEMA)
    client = connect(rig.url, region=EAST)
    with pytest.raises(ClientError, match="not found"):
        client.describe_table(TableName="alone")
    client.close()


def test_a_write_arrives_after_the_delay_and_in_the_stream_there(rig, group):
    put(group, WEST, 1)
    rig.clock.advance(9)
    assert value(group, EAST) is None
    rig.clock.advance(1)
    assert value(group, EAST) == "1"
    assert len(group.tables[EAST].stream.written) == 1


def test_of_several_writes_that_arrive_together_the_last_one_is_in_the_stream(rig, group):
    for n in range(3):
        put(group, WEST, n)
    rig.clock.advance(10)
    assert value(group, EAST) == "2"
    assert len(group.tables[WEST].stream.written) == 3
    assert len(group.tables[EAST].stream.written) == 1


@pytest.mark.parametrize("last", [WEST, EAST])
def test_the_last_writer_wins_in_every_region(rig, group, last):
    first = EAST if last == WEST else WEST
    put(group, first, 1)
    rig.clock.advance(1)
    put(group, last, 2)
    rig.clock.advance(20)
    assert value(group, WEST) == value(group, EAST) == "2"


def test_what_is_cut_off_arrives_once_it_is_healed_unless_it_was_lost(rig, group):
    group.cut(WEST)
    put(group, WEST, 1)
    rig.clock.advance(100)
    assert value(group, EAST) is None
    group.heal(WEST)
    assert value(group, EAST) == "1"
    group.cut(WEST)
    put(group, WEST, 2)
    group.lose()
    group.heal(WEST)
    rig.clock.advance(100)
    assert (value(group, WEST), value(group, EAST)) == ("2", "1")


def test_a_delete_is_replicated_and_is_no_expiry_there(rig, group):
    put(group, WEST, 1)
    group.converge()
    group.tables[WEST].expire(A)
    group.converge()
    assert value(group, EAST) is None
    _, record = group.tables[EAST].stream.written[-1]
    assert record.content["eventName"] == "REMOVE"
    assert "userIdentity" not in record.content
