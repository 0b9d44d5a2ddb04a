"""What only the scripted server can do: topologies, trims, expiry, faults, and what it counts."""

import contextlib
import http.client
import json
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .scripted import Key, KeySchema, PrerenderedTable, ScriptedDynamoDB, Shard, Table, faults

SCHEMA = KeySchema(Key("id"))


@pytest.fixture
def table(scripted: ScriptedDynamoDB) -> Table:
    return scripted.create_table("orders", SCHEMA)


@pytest.fixture
def dynamodb(scripted: ScriptedDynamoDB) -> Any:
    return scripted.client()


@pytest.fixture
def streams(scripted: ScriptedDynamoDB) -> Any:
    return scripted.client("dynamodbstreams")


def key(text: object) -> dict[str, Any]:
    return {"id": {"S": str(text)}}


def order(text: object, n: object = 0) -> dict[str, Any]:
    return {**key(text), "n": {"N": str(n)}}


def listing(streams: Any, table: Table, **parameters: Any) -> list[dict[str, Any]]:
    shards: list[dict[str, Any]] = []
    last: dict[str, str] = {}
    while True:
        got = streams.describe_stream(StreamArn=table.stream.arn, **parameters, **last)
        shards += got["StreamDescription"]["Shards"]
        if "LastEvaluatedShardId" not in got["StreamDescription"]:
            return shards
        last = {"ExclusiveStartShardId": got["StreamDescription"]["LastEvaluatedShardId"]}


def iterator(
    streams: Any, table: Table, shard: Shard, kind: str = "TRIM_HORIZON", number: object = None
) -> str:
    more = {} if number is None else {"SequenceNumber": str(number)}
    got = streams.get_shard_iterator(
        StreamArn=table.stream.arn, ShardId=shard.id, ShardIteratorType=kind, **more
    )
    return str(got["ShardIterator"])


def names(streams: Any, table: Table, shard: Shard) -> list[str]:
    """The keys of a closed shard's records, read to the end."""
    token: str | None = iterator(streams, table, shard)
    found = []
    while token:
        page = streams.get_records(ShardIterator=token)
        found += [record["dynamodb"]["Keys"]["id"]["S"] for record in page["Records"]]
        token = page.get("NextShardIterator")
    return found


def code(call: Callable[..., object], *arguments: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(*arguments, **parameters)
    return str(caught.value.response["Error"]["Code"])


# The shard tree


def test_a_split_sends_each_key_to_one_child_from_then_on(table: Table, streams: Any) -> None:
    parent = table.stream.open_shards()[0]
    for n in range(40):
        table.put(order(n, 1))
    children = table.stream.split(parent)
    for n in range(40):
        table.put(order(n, 2))
    table.disable_stream()
    left, right = (names(streams, table, child) for child in children)
    assert names(streams, table, parent) == [str(n) for n in range(40)]
    assert left
    assert right
    assert sorted(left + right) == sorted(str(n) for n in range(40))
    shards = listing(streams, table)
    assert [shard.get("ParentShardId") for shard in shards] == [None, parent.id, parent.id]


def test_two_hundred_rollovers_keep_the_order_of_one_key(table: Table, streams: Any) -> None:
    for n in range(200):
        table.put(order("one", n))
        table.stream.roll()
    lineage = list(table.stream.shards.values())
    assert [child.parent for child in lineage[1:]] == [parent.id for parent in lineage[:-1]]
    table.disable_stream()
    assert all(names(streams, table, shard) == ["one"] for shard in lineage[:-1])
    numbers = [record.number for shard in lineage for record in shard.records]
    assert numbers == sorted(numbers)


def test_a_closed_shard_ends_without_a_next_iterator_even_if_empty(
    table: Table, streams: Any
) -> None:
    shard = table.stream.open_shards()[0]
    table.stream.close(shard)
    page = streams.get_records(ShardIterator=iterator(streams, table, shard))
    assert page["Records"] == []
    assert "NextShardIterator" not in page
    table.put(order(1))
    assert [each.parent for each in table.stream.open_shards()] == [shard.id]


def test_a_long_listing_comes_in_pages(
    scripted: ScriptedDynamoDB, table: Table, streams: Any
) -> None:
    for _ in range(349):
        table.stream.roll()
    assert [shard["ShardId"] for shard in listing(streams, table)] == list(table.stream.shards)
    assert scripted.calls.count("DescribeStream") == 4


def test_a_listing_goes_on_after_a_shard_that_has_left_it(table: Table, streams: Any) -> None:
    for _ in range(5):
        table.stream.roll()
    table.stream.listing_page = 2
    shards = list(table.stream.shards.values())
    shards[1].listed = False
    got = streams.describe_stream(StreamArn=table.stream.arn, ExclusiveStartShardId=shards[1].id)
    found = [shard["ShardId"] for shard in got["StreamDescription"]["Shards"]]
    assert found == [shards[2].id, shards[3].id]


def test_the_children_of_one_shard_can_be_asked_for(table: Table, streams: Any) -> None:
    parent = table.stream.open_shards()[0]
    children = table.stream.split(parent, 3)
    table.stream.roll(children[0])
    found = listing(streams, table, ShardFilter={"Type": "CHILD_SHARDS", "ShardId": parent.id})
    assert [shard["ShardId"] for shard in found] == [child.id for child in children]


def test_a_child_can_appear_late_by_time_or_by_listings(
    scripted: ScriptedDynamoDB, table: Table, streams: Any
) -> None:
    table.stream.roll(listed_after=300)
    assert len(listing(streams, table)) == 1
    scripted.clock.advance(minutes=5)
    assert len(listing(streams, table)) == 2
    table.stream.roll(unlisted_listings=2)
    assert [len(listing(streams, table)) for _ in range(3)] == [2, 2, 3]


def test_a_listing_can_lie(table: Table, streams: Any) -> None:
    parent = table.stream.open_shards()[0]
    child = table.stream.roll(parent)
    parent.listed_open = True
    table.stream.listing = lambda shards: shards[::-1]
    first, second = listing(streams, table)
    assert [first["ShardId"], second["ShardId"]] == [child.id, parent.id]
    assert "EndingSequenceNumber" not in second["SequenceNumberRange"]
    child.resolves = False
    assert code(iterator, streams, table, child) == "ResourceNotFoundException"
    child.parent = child.id
    assert listing(streams, table)[0]["ParentShardId"] == child.id


def test_a_listing_can_repeat_its_last_shard_for_ever(
    scripted: ScriptedDynamoDB, table: Table, streams: Any
) -> None:
    shard = table.stream.open_shards()[0]

    def repeat(content: Any) -> None:
        content["StreamDescription"]["LastEvaluatedShardId"] = shard.id

    scripted.faults.add(faults.edit(repeat), on="DescribeStream", times=3)
    for _ in range(3):
        got = streams.describe_stream(StreamArn=table.stream.arn)
        assert got["StreamDescription"]["LastEvaluatedShardId"] == shard.id


# Time


def test_records_are_trimmed_after_24_hours(
    scripted: ScriptedDynamoDB, table: Table, streams: Any
) -> None:
    shard = table.stream.open_shards()[0]
    table.put(order("old"))
    old = shard.records[0].number
    scripted.clock.advance(hours=23)
    table.put(order("new"))
    early = iterator(streams, table, shard)
    scripted.clock.advance(hours=1)
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        refused = code(iterator, streams, table, shard, kind, old)
        assert refused == "TrimmedDataAccessException"
    assert code(streams.get_records, ShardIterator=early) == "ExpiredIteratorException"
    table.disable_stream()
    assert names(streams, table, shard) == ["new"]


def test_a_held_iterator_meets_a_trim(table: Table, streams: Any) -> None:
    shard = table.stream.open_shards()[0]
    table.put(order(1), order(2))
    held = iterator(streams, table, shard)
    table.stream.trim(shard, through=shard.records[0].number)
    assert code(streams.get_records, ShardIterator=held) == "TrimmedDataAccessException"
    again = streams.get_records(ShardIterator=iterator(streams, table, shard))
    assert [record["dynamodb"]["Keys"] for record in again["Records"]] == [key(2)]


def test_a_closed_shard_vanishes_24_hours_after_it_closed(
    scripted: ScriptedDynamoDB, table: Table, streams: Any
) -> None:
    parent = table.stream.open_shards()[0]
    child = table.stream.roll(parent)
    scripted.clock.advance(hours=24)
    (left,) = listing(streams, table)
    assert (left["ShardId"], left["ParentShardId"]) == (child.id, parent.id)
    assert code(iterator, streams, table, parent) == "ResourceNotFoundException"


def test_an_iterator_lives_for_15_minutes(
    scripted: ScriptedDynamoDB, table: Table, streams: Any
) -> None:
    token = iterator(streams, table, table.stream.open_shards()[0])
    scripted.clock.advance(minutes=15)
    fresh = streams.get_records(ShardIterator=token)["NextShardIterator"]
    scripted.clock.advance(seconds=1)
    assert code(streams.get_records, ShardIterator=token) == "ExpiredIteratorException"
    assert streams.get_records(ShardIterator=fresh)["Records"] == []


def test_a_record_keeps_no_fraction_of_a_second(
    scripted: ScriptedDynamoDB, table: Table, streams: Any
) -> None:
    scripted.clock.advance(seconds=12.75)
    table.put(order(1))
    shard = table.stream.open_shards()[0]
    (record,) = streams.get_records(ShardIterator=iterator(streams, table, shard))["Records"]
    found = record["dynamodb"]["ApproximateCreationDateTime"].timestamp()
    assert found == scripted.clock.now() - 0.75


def test_a_deleted_tables_stream_stays_for_24_hours(
    scripted: ScriptedDynamoDB, table: Table, dynamodb: Any, streams: Any
) -> None:
    shard = table.stream.open_shards()[0]
    table.put(order(1))
    scripted.delete_table("orders")
    missing = code(dynamodb.describe_table, TableName="orders")
    assert missing == "ResourceNotFoundException"
    again = scripted.create_table("orders", SCHEMA)
    assert again.id != table.id
    assert again.stream.arn != table.stream.arn
    assert names(streams, table, shard) == ["1"]
    scripted.clock.advance(hours=24)
    gone = code(streams.describe_stream, StreamArn=table.stream.arn)
    assert gone == "ResourceNotFoundException"


# Records


def test_sequence_numbers_can_cross_a_border_of_length(
    scripted: ScriptedDynamoDB, table: Table, streams: Any
) -> None:
    scripted.numbers.jump_to(10**21 - 2)
    table.put(*(order(n) for n in range(4)))
    shard = table.stream.open_shards()[0]
    page = streams.get_records(ShardIterator=iterator(streams, table, shard))
    numbers = [record["dynamodb"]["SequenceNumber"] for record in page["Records"]]
    assert [len(number) for number in numbers] == [21, 21, 22, 22]
    after = iterator(streams, table, shard, "AFTER_SEQUENCE_NUMBER", numbers[1])
    assert len(streams.get_records(ShardIterator=after)["Records"]) == 2


def test_a_page_holds_a_thousand_records_or_a_megabyte(table: Table, streams: Any) -> None:
    shard = table.stream.open_shards()[0]
    table.put(*(order(n) for n in range(1001)))
    page = streams.get_records(ShardIterator=iterator(streams, table, shard))
    assert len(page["Records"]) == 1000
    table.put({**key("large"), "x": {"S": "x" * 600_000}}, {**key("l"), "x": {"S": "x" * 600_000}})
    page = streams.get_records(ShardIterator=page["NextShardIterator"])
    assert len(page["Records"]) == 2
    page = streams.get_records(ShardIterator=page["NextShardIterator"])
    assert len(page["Records"]) == 1


def test_time_to_live_deletes_in_the_name_of_the_service(table: Table, streams: Any) -> None:
    shard = table.stream.open_shards()[0]
    table.put(order(1))
    table.expire(key(1))
    page = streams.get_records(ShardIterator=iterator(streams, table, shard))
    removed = page["Records"][-1]
    assert removed["eventName"] == "REMOVE"
    assert removed["userIdentity"] == {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}


def test_any_record_can_be_appended_and_any_item_put(
    scripted: ScriptedDynamoDB, table: Table, dynamodb: Any, streams: Any
) -> None:
    table.stream.append({"eventName": "UNKNOWN_TO_SDK_VERSION", "dynamodb": {}})
    shard = table.stream.open_shards()[0]
    (record,) = streams.get_records(ShardIterator=iterator(streams, table, shard))["Records"]
    assert record == {"eventName": "UNKNOWN_TO_SDK_VERSION", "dynamodb": {}}
    strange = {"a": {}, "b": {"S": "1", "N": "2"}, "c": {"N": "NaN"}, "d": {"S": "\ud800"}}
    table.put({**key(1), **strange}, {**key(1), **strange, "e": {"ZZ": 1}})
    (item,) = json.loads(raw(scripted, "DynamoDB_20120810.Scan", {"TableName": "orders"}))["Items"]
    assert item == {**key(1), **strange, "e": {"ZZ": 1}}


def test_items_loaded_before_the_stream_make_no_records(table: Table, dynamodb: Any) -> None:
    table.load(order(n) for n in range(10))
    assert len(table) == 10
    assert table.stream.open_shards()[0].records == []
    assert dynamodb.scan(TableName="orders")["Count"] == 10


def test_an_eventual_read_can_be_as_stale_as_the_test_wants(
    scripted: ScriptedDynamoDB, table: Table, dynamodb: Any
) -> None:
    table.put(order(1), order(2))
    scripted.clock.advance(minutes=30)
    table.put(order(1, 7), order(3))
    table.delete(key(2))
    table.staleness = 20 * 60

    def seen(consistent: bool) -> dict[str, str]:
        page = dynamodb.scan(TableName="orders", ConsistentRead=consistent)
        return {item["id"]["S"]: item["n"]["N"] for item in page["Items"]}

    assert seen(consistent=True) == {"1": "7", "3": "0"}
    assert seen(consistent=False) == {"1": "0", "2": "0"}
    scripted.clock.advance(minutes=20)
    assert seen(consistent=False) == {"1": "7", "3": "0"}


def test_a_stream_lists_no_shards_while_it_is_being_enabled(table: Table, streams: Any) -> None:
    table.stream.status = "ENABLING"
    assert listing(streams, table) == []


# Faults


@pytest.mark.parametrize(
    ("effect", "expected", "status"),
    [
        (faults.throttle(), "ProvisionedThroughputExceededException", 400),
        (faults.throttle("ThrottlingException"), "ThrottlingException", 400),
        (faults.throttle("RequestLimitExceeded"), "RequestLimitExceeded", 400),
        (faults.limit_exceeded(), "LimitExceededException", 400),
        (faults.internal_server_error(), "InternalServerError", 500),
        (faults.unavailable(), "ServiceUnavailable", 503),
        (faults.expired_iterator(), "ExpiredIteratorException", 400),
        (faults.trimmed(), "TrimmedDataAccessException", 400),
        (faults.access_denied(), "AccessDeniedException", 400),
        (faults.unrecognized_client(), "UnrecognizedClientException", 400),
        (faults.expired_token(), "ExpiredTokenException", 400),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_an_error_reaches_the_client_as_the_service_would_send_it(
    scripted: ScriptedDynamoDB,
    table: Table,
    dynamodb: Any,
    effect: faults.Effect,
    expected: str,
    status: int,
) -> None:
    scripted.faults.add(effect, on="Scan")
    with pytest.raises(ClientError) as caught:
        dynamodb.scan(TableName="orders")
    assert caught.value.response["Error"]["Code"] == expected
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert dynamodb.scan(TableName="orders")["Count"] == 0


def test_a_throttle_gives_its_reasons(
    scripted: ScriptedDynamoDB, table: Table, dynamodb: Any
) -> None:
    scripted.faults.add(
        faults.throttle(reason="TableReadKeyRangeThroughputExceeded"), on="Scan", table="orders"
    )
    with pytest.raises(ClientError) as caught:
        dynamodb.scan(TableName="orders")
    reasons: Any = caught.value.response
    assert reasons["ThrottlingReasons"][0]["reason"] == "TableReadKeyRangeThroughputExceeded"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"Items":[', b"null", b"[]", b"{}"])
def test_a_wrong_body_is_sent_as_it_is(
    scripted: ScriptedDynamoDB, table: Table, body: bytes
) -> None:
    scripted.faults.add(faults.wrong_body(body), on="Scan")
    assert raw(scripted, "DynamoDB_20120810.Scan", {"TableName": "orders"}) == body


def test_members_can_be_missing(
    scripted: ScriptedDynamoDB, table: Table, dynamodb: Any, streams: Any
) -> None:
    scripted.faults.add(faults.without("Items"), on="Scan")
    assert "Items" not in dynamodb.scan(TableName="orders")
    scripted.faults.add(faults.without("NextShardIterator"), on="GetRecords")
    token = iterator(streams, table, table.stream.open_shards()[0])
    assert "NextShardIterator" not in streams.get_records(ShardIterator=token)
    assert "NextShardIterator" in streams.get_records(ShardIterator=token)


def test_a_cut_body_is_not_json(scripted: ScriptedDynamoDB, table: Table) -> None:
    table.put(order(1))
    scripted.faults.add(faults.cut_body(), on="Scan")
    with pytest.raises(ValueError):
        json.loads(raw(scripted, "DynamoDB_20120810.Scan", {"TableName": "orders"}))


def test_a_wrong_checksum_makes_the_client_ask_again(
    scripted: ScriptedDynamoDB, table: Table
) -> None:
    client: Any = scripted.client(retries={"mode": "standard", "total_max_attempts": 2})
    scripted.faults.add(faults.wrong_checksum(), on="Scan")
    assert client.scan(TableName="orders")["Items"] == []
    assert scripted.calls.count("Scan") == 2


def test_a_connection_can_break_in_the_middle_of_a_body(
    scripted: ScriptedDynamoDB, table: Table
) -> None:
    table.put(order(1))
    scripted.faults.add(faults.cut_connection(), on="Scan")
    with pytest.raises(http.client.IncompleteRead):
        raw(scripted, "DynamoDB_20120810.Scan", {"TableName": "orders"})
    assert raw(scripted, "DynamoDB_20120810.Scan", {"TableName": "orders"})


def test_empty_pages_lead_on_to_what_they_left_out(
    scripted: ScriptedDynamoDB, table: Table, dynamodb: Any, streams: Any
) -> None:
    table.put(*(order(n) for n in range(10)))
    scripted.faults.add(faults.empty_page(), on="Scan", every=2, after=3)
    scripted.faults.add(faults.empty_page(), on="Scan", times=3)
    counts, cursors = [], []
    start: dict[str, Any] = {}
    while True:
        page = dynamodb.scan(TableName="orders", Limit=4, Segment=0, TotalSegments=1, **start)
        counts.append(page["Count"])
        if "LastEvaluatedKey" not in page:
            break
        cursors.append(page["LastEvaluatedKey"]["id"]["S"])
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert sum(counts) == 10
    assert counts[:3] == [0, 0, 0]
    assert len(set(cursors)) == len(cursors)

    scripted.faults.add(faults.empty_page(), on="GetRecords", times=2)
    token = iterator(streams, table, table.stream.open_shards()[0])
    for expected in (0, 0, 10):
        page = streams.get_records(ShardIterator=token)
        assert len(page["Records"]) == expected
        token = page["NextShardIterator"]


def test_a_page_can_come_twice(scripted: ScriptedDynamoDB, table: Table, streams: Any) -> None:
    table.put(*(order(n) for n in range(4)))
    scripted.faults.add(faults.repeat(), on="GetRecords", after=1, times=1)
    token = iterator(streams, table, table.stream.open_shards()[0])
    pages = []
    for _ in range(3):
        page = streams.get_records(ShardIterator=token, Limit=2)
        pages.append([record["dynamodb"]["Keys"]["id"]["S"] for record in page["Records"]])
        token = page["NextShardIterator"]
    assert pages == [["0", "1"], ["0", "1"], ["2", "3"]]


def test_a_fault_meets_the_calls_it_names(
    scripted: ScriptedDynamoDB, table: Table, dynamodb: Any
) -> None:
    def outcomes(count: int, **parameters: Any) -> str:
        return "".join(
            "x" if isinstance(attempt(dynamodb, **parameters), ClientError) else "."
            for _ in range(count)
        )

    scripted.faults.add(faults.throttle(), on="Scan", after=1, times=2)
    assert outcomes(5) == ".xx.."
    scripted.faults.clear()
    scripted.faults.add(faults.throttle(), on="Scan", every=3)
    assert outcomes(7) == "..x..x."
    scripted.faults.clear()
    scripted.faults.add(faults.throttle(), on="Scan", segment=1, times=2)
    assert outcomes(2, Segment=0, TotalSegments=2) == ".."
    assert outcomes(3, Segment=1, TotalSegments=2) == "xx."
    scripted.faults.clear()
    scripted.faults.add(
        faults.throttle(), on="Scan", where=lambda call: bool(call.parameters.get("ConsistentRead"))
    )
    assert outcomes(2) == ".."
    assert outcomes(2, ConsistentRead=True) == "x."


def test_a_chance_is_the_same_for_the_same_seed(
    scripted: ScriptedDynamoDB, table: Table, dynamodb: Any
) -> None:
    runs = []
    for _ in range(2):
        scripted.faults.clear()
        scripted.faults.add(faults.internal_server_error(), on="Scan", chance=0.5, seed=3)
        runs.append([attempt(dynamodb) is None for _ in range(20)])
    assert runs[0] == runs[1]
    assert 0 < sum(runs[0]) < 20


def test_the_test_can_act_between_two_pages(
    scripted: ScriptedDynamoDB, table: Table, dynamodb: Any
) -> None:
    table.put(order(1))
    scripted.faults.add(faults.run(lambda: table.put(order(2))), on="Scan", after=1)
    assert [dynamodb.scan(TableName="orders")["Count"] for _ in range(3)] == [1, 2, 2]


# Calls


def test_the_log_counts_calls_by_segment_and_shard(
    scripted: ScriptedDynamoDB, table: Table, dynamodb: Any, streams: Any
) -> None:
    for segment in (0, 1, 1):
        dynamodb.scan(
            TableName="orders", Segment=segment, TotalSegments=2, ConsistentRead=segment == 1
        )
    shard = table.stream.open_shards()[0]
    streams.get_records(ShardIterator=iterator(streams, table, shard))
    assert scripted.calls.per_segment() == {0: 1, 1: 2}
    assert scripted.calls.per_shard() == {shard.id: 1}
    assert scripted.calls.count("Scan", ConsistentRead=True) == 2
    assert scripted.calls.readers() == {shard.id: 1}
    operations = [call.operation for call in scripted.calls]
    assert operations == ["Scan", "Scan", "Scan", "GetShardIterator", "GetRecords"]
    assert {call.status for call in scripted.calls} == {200}


def test_the_log_knows_how_many_read_one_shard_at_once(
    scripted: ScriptedDynamoDB, table: Table, streams: Any
) -> None:
    shard = table.stream.open_shards()[0]
    token = iterator(streams, table, shard)
    meeting = threading.Barrier(3)
    scripted.faults.add(faults.run(meeting.wait), on="GetRecords", times=3)
    readers = [
        threading.Thread(target=streams.get_records, kwargs={"ShardIterator": token})
        for _ in range(3)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert scripted.calls.readers()[shard.id] == 3


def test_a_client_may_not_alter_tables(
    scripted: ScriptedDynamoDB, table: Table, dynamodb: Any
) -> None:
    for operation in ("UpdateTable", "DeleteTable"):
        answer = raw(scripted, f"DynamoDB_20120810.{operation}", {"TableName": "orders"})
        assert json.loads(answer)["__type"].endswith("#UnknownOperationException")
        assert scripted.calls.of(operation)[0].error == "UnknownOperationException"
    assert code(dynamodb.delete_table, TableName="orders") == "UnknownOperationException"


# Pages that are rendered beforehand


@pytest.mark.parametrize("total", [1, 3, 8])
def test_a_prerendered_table_serves_every_item_once(
    scripted: ScriptedDynamoDB, dynamodb: Any, total: int
) -> None:
    table = scripted.add_prerendered(PrerenderedTable("load", 1234, page_bytes=20_000))
    scripted.faults.add(faults.empty_page(), on="Scan", every=4)
    found = []
    for segment in range(total):
        start: dict[str, Any] = {}
        while True:
            page = dynamodb.scan(TableName="load", Segment=segment, TotalSegments=total, **start)
            found += page["Items"]
            assert page["Count"] == len(page["Items"])
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert found == list(table.every_item())
    assert len({item["id"]["S"] for item in found}) == 1234
    assert sum(Decimal(item["price"]["N"]) for item in found) == table.total("price")


def test_a_prerendered_table_may_be_empty(scripted: ScriptedDynamoDB, dynamodb: Any) -> None:
    scripted.add_prerendered(PrerenderedTable("load", 0))
    assert dynamodb.scan(TableName="load")["Items"] == []
    assert dynamodb.describe_table(TableName="load")["Table"]["ItemCount"] == 0


def attempt(dynamodb: Any, **parameters: Any) -> ClientError | None:
    try:
        dynamodb.scan(TableName="orders", **parameters)
    except ClientError as error:
        return error
    return None


def raw(scripted: ScriptedDynamoDB, target: str, parameters: dict[str, Any]) -> bytes:
    """The bytes of an answer, before any client has read them."""
    connection = http.client.HTTPConnection(scripted.url.removeprefix("http://"))
    with contextlib.closing(connection):
        connection.request("POST", "/", json.dumps(parameters), {"X-Amz-Target": target})
        return connection.getresponse().read()
