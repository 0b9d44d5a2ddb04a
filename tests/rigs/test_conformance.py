"""One suite for the scripted server and DynamoDB Local: what holds for one holds for the other.

Known differences, each asserted where it shows: Local gives no TableId, words a missing table its
own way, cuts record times to the minute (the service: to the second), names its Region `ddblocal`,
and in stream records loses the type of an empty map and keeps an updated number as it was given.
"""

from collections.abc import Iterator
from itertools import chain, pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .scripted import connect
from .subject import Subject

ID = {"id": "S"}
ORDERED = {"id": "S", "at": "N"}


@pytest.fixture(params=["scripted", "local"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    if request.param == "scripted":
        rig = request.getfixturevalue("scripted")
        yield Subject(rig.client(), rig.client("dynamodbstreams"), rig)
        return
    url = request.getfixturevalue("dynamodb_local")
    dynamodb, streams = connect(url), connect(url, "dynamodbstreams")
    yield Subject(dynamodb, streams, None)
    dynamodb.close()
    streams.close()


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    """The code and the message of the error this call meets."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"id": {"S": f"order-{n}"}, "n": {"N": str(n)}} for n in range(count)]


# Tables


def test_a_table_describes_its_key_and_its_stream(subject: Subject) -> None:
    table = subject.create(ORDERED)
    found = subject.describe(table)
    assert found["TableStatus"] == "ACTIVE"
    assert found["KeySchema"] == [
        {"AttributeName": "id", "KeyType": "HASH"},
        {"AttributeName": "at", "KeyType": "RANGE"},
    ]
    kinds = {each["AttributeName"]: each["AttributeType"] for each in found["AttributeDefinitions"]}
    assert kinds == ORDERED
    assert found["TableArn"].endswith(f":table/{table}")
    assert found["LatestStreamArn"] == f"{found['TableArn']}/stream/{found['LatestStreamLabel']}"
    assert found["StreamSpecification"] == {
        "StreamEnabled": True,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    assert found["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert found["ItemCount"] == 0
    assert ("TableId" in found) is not subject.is_local


def test_a_table_without_a_stream_names_none(subject: Subject) -> None:
    found = subject.describe(subject.create(ID, view=None))
    assert not {"StreamSpecification", "LatestStreamArn", "LatestStreamLabel"} & found.keys()


def test_a_table_is_not_created_twice(subject: Subject) -> None:
    table = subject.create(ID)
    code, _ = refused(
        subject.dynamodb.create_table,
        TableName=table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    assert code == "ResourceInUseException"


@pytest.mark.parametrize("operation", ["describe_table", "scan"])
def test_a_missing_table_is_a_missing_resource(subject: Subject, operation: str) -> None:
    code, message = refused(getattr(subject.dynamodb, operation), TableName="nowhere")
    assert code == "ResourceNotFoundException"
    wording = "Requested resource not found: Table: nowhere not found"
    assert (message == wording) is not subject.is_local


@pytest.mark.parametrize(
    "item",
    [
        {"n": {"N": "1"}},
        {"id": {"N": "1"}},
        {"id": {"S": ""}},
        {"id": {"S": "1"}, "": {"S": "x"}},
        {"id": {"S": "1"}, "m": {"M": {"": {"S": "x"}}}},
        {"id": {"S": "1"}, "n": {"N": "1" * 39}},
        {"id": {"S": "1"}, "n": {"N": "NaN"}},
        {"id": {"S": "1"}, "n": {"N": "1E+126"}},
        {"id": {"S": "1"}, "n": {"N": "1E-131"}},
    ],
    ids=[
        "no key",
        "other type",
        "empty key",
        "empty name",
        "empty name within",
        "39 digits",
        "NaN",
        "too large",
        "too small",
    ],
)
def test_an_invalid_item_is_refused(subject: Subject, item: dict[str, Any]) -> None:
    table = subject.create(ID)
    code, _ = refused(subject.dynamodb.put_item, TableName=table, Item=item)
    assert code == "ValidationException"
    assert subject.pages(table)[0]["Count"] == 0


# Scan


def test_a_scan_pages_through_every_item_once(subject: Subject) -> None:
    table = subject.create(ID)
    subject.put(table, *numbered(23))
    pages = subject.pages(table, Limit=5)
    assert [page["Count"] for page in pages] == [5, 5, 5, 5, 3]
    assert all(page["Count"] == page["ScannedCount"] for page in pages)
    assert sorted(subject.ids(table, Limit=5)) == sorted(i["id"]["S"] for i in numbered(23))


def test_a_page_that_ends_at_its_limit_has_a_cursor_even_if_nothing_follows(
    subject: Subject,
) -> None:
    table = subject.create(ID)
    subject.put(table, *numbered(6))
    assert [page["Count"] for page in subject.pages(table, Limit=3)] == [3, 3, 0]


def test_an_empty_table_gives_one_page_without_items(subject: Subject) -> None:
    (page,) = subject.pages(subject.create(ID))
    assert (page["Items"], page["Count"], page["ScannedCount"]) == ([], 0, 0)


def test_segments_share_the_table_without_overlap(subject: Subject) -> None:
    table = subject.create(ID)
    subject.put(table, *numbered(60))
    segments = [subject.ids(table, Segment=number, TotalSegments=4, Limit=7) for number in range(4)]
    assert sorted(chain(*segments)) == sorted(item["id"]["S"] for item in numbered(60))
    assert sum(map(bool, segments)) > 1


@pytest.mark.parametrize(
    "segment", [{"Segment": 0}, {"TotalSegments": 2}, {"Segment": 2, "TotalSegments": 2}]
)
def test_a_segment_is_one_of_a_total(subject: Subject, segment: dict[str, int]) -> None:
    table = subject.create(ID)
    code, _ = refused(subject.dynamodb.scan, TableName=table, **segment)
    assert code == "ValidationException"


def test_a_cursor_belongs_to_its_segment(subject: Subject) -> None:
    table = subject.create(ID)
    subject.put(table, *numbered(40))
    own, other = (subject.ids(table, Segment=number, TotalSegments=2) for number in range(2))
    assert own
    assert other
    code, message = refused(
        subject.dynamodb.scan,
        TableName=table,
        Segment=0,
        TotalSegments=2,
        ExclusiveStartKey={"id": {"S": other[0]}},
    )
    assert code == "ValidationException"
    assert "xclusive start key must lie within the segment" in message


@pytest.mark.parametrize("start", [{"other": {"S": "1"}}, {"id": {"N": "1"}}])
def test_a_cursor_has_the_shape_of_the_key(subject: Subject, start: dict[str, Any]) -> None:
    table = subject.create(ID)
    code, _ = refused(subject.dynamodb.scan, TableName=table, ExclusiveStartKey=start)
    assert code == "ValidationException"


def test_a_scan_resumes_where_the_item_at_the_cursor_was_deleted(subject: Subject) -> None:
    table = subject.create(ID)
    subject.put(table, *numbered(20))
    first = subject.dynamodb.scan(TableName=table, Limit=8)
    subject.delete(table, first["LastEvaluatedKey"])
    rest = subject.ids(table, ExclusiveStartKey=first["LastEvaluatedKey"])
    seen = [item["id"]["S"] for item in first["Items"]]
    assert len(rest) == 12
    assert sorted(seen + rest) == sorted(item["id"]["S"] for item in numbered(20))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("S", ["", "a", "b", "ab", "Z", "ä", "\U0001f600", "\uffee"]),
        ("N", ["10", "9", "-1", "0", "1E+20", "0.5", "-1E-7"]),
        ("B", [b"\x00", b"\xff", b"\x7f", b"\x00\x01"]),
    ],
)
def test_items_of_one_partition_come_in_the_order_of_their_sort_key(
    subject: Subject, kind: str, values: list[Any]
) -> None:
    table = subject.create({"id": "S", "at": kind})
    orders = {"S": str.encode, "N": float, "B": bytes}
    legal = [value for value in values if value]
    subject.put(table, *({"id": {"S": "1"}, "at": {kind: value}} for value in legal))
    pages = subject.pages(table, Limit=2)
    found = [item["at"][kind] for page in pages for item in page["Items"]]
    order: Any = orders[kind]
    assert [order(value) for value in found] == sorted(order(value) for value in legal)


def test_a_page_ends_at_one_megabyte(subject: Subject) -> None:
    table = subject.create(ID)
    subject.put(table, *({"id": {"S": str(n)}, "x": {"S": "x" * 300_000}} for n in range(8)))
    pages = subject.pages(table)
    assert sum(page["Count"] for page in pages) == 8
    assert all(page["Count"] <= 4 for page in pages)
    assert all(page["Count"] >= 3 for page in pages[:2])


def test_a_consistent_read_costs_twice_as_much(subject: Subject) -> None:
    table = subject.create(ID)
    subject.put(table, *numbered(3))
    costs = [
        subject.dynamodb.scan(
            TableName=table, ConsistentRead=consistent, ReturnConsumedCapacity="TOTAL"
        )["ConsumedCapacity"]
        for consistent in (False, True)
    ]
    assert [cost["CapacityUnits"] for cost in costs] == [0.5, 1.0]
    assert {cost["TableName"] for cost in costs} == {table}


def test_a_scan_can_only_count(subject: Subject) -> None:
    table = subject.create(ID)
    subject.put(table, *numbered(3))
    page = subject.dynamodb.scan(TableName=table, Select="COUNT")
    assert page["Count"] == 3
    assert "Items" not in page


# Items by key


def asked_for(table: str, *keys: str) -> dict[str, Any]:
    return {table: {"Keys": [{"id": {"S": key}} for key in keys], "ConsistentRead": True}}


@pytest.mark.parametrize("keys", [("order-0",), ("order-0", "none"), ("none",)], ids=len)
def test_an_answer_names_the_table_even_if_no_item_is_there(
    subject: Subject, keys: tuple[str, ...]
) -> None:
    table = subject.create(ID)
    subject.put(table, *numbered(2))
    got = subject.dynamodb.batch_get_item(RequestItems=asked_for(table, *keys))
    found = [item for item in numbered(2) if item["id"]["S"] in keys]
    assert (got["Responses"], got["UnprocessedKeys"]) == ({table: found}, {})


def test_items_come_by_key_in_any_order(subject: Subject) -> None:
    table = subject.create(ID)
    subject.put(table, *numbered(100))
    wanted = asked_for(table, *(f"order-{n}" for n in range(100)))
    items = subject.dynamodb.batch_get_item(RequestItems=wanted)["Responses"][table]
    assert sorted(int(item["n"]["N"]) for item in items) == list(range(100))


def test_a_call_asks_for_a_hundred_keys_at_most(subject: Subject) -> None:
    table = subject.create(ID)
    wanted = asked_for(table, *(f"order-{n}" for n in range(101)))
    code, _ = refused(subject.dynamodb.batch_get_item, RequestItems=wanted)
    assert code == "ValidationException"


def test_a_key_is_asked_for_once(subject: Subject) -> None:
    table = subject.create(ID)
    wanted = asked_for(table, "order-0", "order-0")
    code, _ = refused(subject.dynamodb.batch_get_item, RequestItems=wanted)
    assert code == "ValidationException"


# Values

VALUES = [
    {"S": ""},
    {"S": 'nul \x00, quote ", ä, \U0001f600'},
    {"B": b"\x00\xff"},
    {"B": b""},
    {"BOOL": True},
    {"BOOL": False},
    {"NULL": True},
    {"M": {}},
    {"L": []},
    {"M": {"a.b": {"L": [{"N": "1"}, {"M": {"%": {"S": "x"}}}]}}},
]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_a_value_comes_back_as_it_was_put(subject: Subject, value: dict[str, Any]) -> None:
    table = subject.create(ID)
    item = {"id": {"S": "1"}, "value": value}
    subject.put(table, item)
    assert subject.pages(table)[0]["Items"] == [item]
    # Local's records lose the type of an empty map: it arrives as a value without any type.
    lost = subject.is_local and value == {"M": {}}
    streamed = {**item, "value": {}} if lost else item
    assert subject.records(table)[0]["dynamodb"]["NewImage"] == streamed


@pytest.mark.parametrize(
    "members", [{"SS": ["b", "a", "ä"]}, {"NS": ["10", "9", "-1.50"]}, {"BS": [b"b", b"\x00"]}]
)
def test_a_set_comes_back_as_a_set(subject: Subject, members: dict[str, list[Any]]) -> None:
    table = subject.create(ID)
    subject.put(table, {"id": {"S": "1"}, "value": members})
    ((kind, put),) = members.items()
    found = subject.pages(table)[0]["Items"][0]["value"][kind]
    expected = ["10", "9", "-1.5"] if kind == "NS" else put
    assert len(found) == len(put)
    assert set(found) == set(expected)


@pytest.mark.parametrize(
    ("put", "found"),
    [
        ("1.500", "1.5"),
        ("007", "7"),
        ("-0", "0"),
        ("0.0", "0"),
        ("1E3", "1000"),
        ("-12.30e-2", "-0.123"),
        ("1E-130", "0." + "0" * 129 + "1"),
        ("9.9E+125", "99" + "0" * 124),
        ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
    ],
)
def test_a_number_comes_back_in_plain_notation(subject: Subject, put: str, found: str) -> None:
    table = subject.create(ID)
    subject.put(table, {"id": {"S": "1"}, "n": {"N": put}})
    assert subject.pages(table)[0]["Items"][0]["n"] == {"N": found}
    assert subject.records(table)[0]["dynamodb"]["NewImage"]["n"] == {"N": found}


def test_equal_numbers_are_one_key(subject: Subject) -> None:
    table = subject.create({"id": "N"})
    subject.put(table, {"id": {"N": "1.0"}}, {"id": {"N": "1"}, "x": {"S": "x"}})
    assert subject.pages(table)[0]["Items"] == [{"id": {"N": "1"}, "x": {"S": "x"}}]


# Stream records

ONE = {"id": {"S": "1"}}
OLD = {**ONE, "n": {"N": "1"}}
NEW = {**ONE, "n": {"N": "2"}}
# Local's records of UpdateItem hold a number as it was given; those of PutItem are canonical.
AS_GIVEN = {**ONE, "n": {"N": "2.0"}}


def write_a_life(subject: Subject, table: str) -> None:
    subject.put(table, OLD, OLD)
    subject.dynamodb.update_item(
        TableName=table,
        Key=ONE,
        UpdateExpression="SET #n = :n",
        ExpressionAttributeNames={"#n": "n"},
        ExpressionAttributeValues={":n": {"N": "2.0"}},
    )
    subject.put(table, {**ONE, "n": {"N": "2.00"}})
    subject.delete(table, ONE)
    subject.delete(table, ONE)


@pytest.mark.parametrize("view", ["NEW_AND_OLD_IMAGES", "NEW_IMAGE", "OLD_IMAGE", "KEYS_ONLY"])
def test_each_change_makes_one_record_and_a_write_that_changes_nothing_none(
    subject: Subject, view: str
) -> None:
    table = subject.create(ID, view)
    write_a_life(subject, table)
    records = subject.records(table)
    assert [record["eventName"] for record in records] == ["INSERT", "MODIFY", "REMOVE"]
    changes = [record["dynamodb"] for record in records]
    assert all(change["Keys"] == ONE for change in changes)
    assert all(change["StreamViewType"] == view for change in changes)
    changed = AS_GIVEN if subject.is_local else NEW
    new = [OLD, changed, None] if view in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES") else [None] * 3
    old = [None, OLD, NEW] if view in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES") else [None] * 3
    assert [change.get("NewImage") for change in changes] == new
    assert [change.get("OldImage") for change in changes] == old


def test_a_record_says_what_and_when(subject: Subject) -> None:
    table = subject.create(ID)
    subject.put(table, *numbered(5))
    records = subject.records(table)
    assert len({record["eventID"] for record in records}) == 5
    assert {record["eventSource"] for record in records} == {"aws:dynamodb"}
    region = "ddblocal" if subject.is_local else "us-west-2"
    assert {record["awsRegion"] for record in records} == {region}
    numbers = [int(record["dynamodb"]["SequenceNumber"]) for record in records]
    assert all(before < after for before, after in pairwise(numbers))
    assert all(len(record["dynamodb"]["SequenceNumber"]) >= 21 for record in records)
    assert all(record["dynamodb"]["SizeBytes"] > 0 for record in records)
    # Both cut the fraction; Local cuts the seconds too.
    assert all(
        record["dynamodb"]["ApproximateCreationDateTime"].microsecond == 0 for record in records
    )
    assert not any("userIdentity" in record for record in records)


@pytest.mark.parametrize(
    ("view", "images"),
    [("KEYS_ONLY", set()), ("OLD_IMAGE", {"OldImage"}), ("NEW_IMAGE", {"NewImage"})],
)
def test_a_record_has_the_images_of_its_view_type(
    subject: Subject, view: str, images: set[str]
) -> None:
    table = subject.create(ID, view)
    subject.put(table, *numbered(1), {"id": {"S": "order-0"}, "n": {"N": "7"}})
    change = subject.records(table)[1]["dynamodb"]
    assert change.keys() & {"OldImage", "NewImage"} == images
    assert (change["Keys"], change["StreamViewType"]) == ({"id": {"S": "order-0"}}, view)


def test_an_update_of_a_new_key_makes_one_insert(subject: Subject) -> None:
    table = subject.create(ID)
    subject.dynamodb.update_item(
        TableName=table,
        Key=ONE,
        UpdateExpression="SET #n = :n",
        ExpressionAttributeNames={"#n": "n"},
        ExpressionAttributeValues={":n": {"N": "1"}},
    )
    (record,) = subject.records(table)
    assert record["eventName"] == "INSERT"
    assert record["dynamodb"]["NewImage"] == OLD


def test_an_update_can_remove_an_attribute(subject: Subject) -> None:
    table = subject.create(ID)
    subject.put(table, OLD)
    subject.dynamodb.update_item(
        TableName=table,
        Key=ONE,
        UpdateExpression="REMOVE #n",
        ExpressionAttributeNames={"#n": "n"},
    )
    assert subject.records(table)[-1]["dynamodb"]["NewImage"] == ONE


def test_a_set_in_another_order_is_no_change(subject: Subject) -> None:
    table = subject.create(ID)
    for members in (["a", "b"], ["b", "a"]):
        subject.put(table, {**ONE, "tags": {"SS": members}})
    assert len(subject.records(table)) == 1


# Reading shards


def test_a_stream_lists_its_open_shard(subject: Subject) -> None:
    table = subject.create(ID)
    arn = subject.arn(table)
    found = subject.streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert found["StreamArn"] == arn
    assert found["StreamStatus"] == "ENABLED"
    assert found["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    assert found["TableName"] == table
    assert found["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    (shard,) = found["Shards"]
    assert shard["ShardId"].startswith("shardId-")
    assert "EndingSequenceNumber" not in shard["SequenceNumberRange"]
    assert "ParentShardId" not in shard
    assert "LastEvaluatedShardId" not in found


def test_a_listing_can_start_after_a_shard_or_show_only_its_children(subject: Subject) -> None:
    table = subject.create(ID)
    shard, arn = subject.shard(table), subject.arn(table)
    after = subject.streams.describe_stream(StreamArn=arn, ExclusiveStartShardId=shard)
    assert after["StreamDescription"]["Shards"] == []
    children = subject.streams.describe_stream(
        StreamArn=arn, ShardFilter={"Type": "CHILD_SHARDS", "ShardId": shard}
    )
    assert children["StreamDescription"]["Shards"] == []


def test_an_open_shard_always_has_a_next_iterator(subject: Subject) -> None:
    table = subject.create(ID)
    token = subject.iterator(table)
    for _ in range(5):
        page = subject.streams.get_records(ShardIterator=token)
        assert page["Records"] == []
        token = page["NextShardIterator"]
    subject.put(table, OLD)
    assert len(subject.streams.get_records(ShardIterator=token)["Records"]) == 1


def test_records_come_in_pages_of_at_most_the_limit(subject: Subject) -> None:
    table = subject.create(ID)
    subject.put(table, *numbered(7))
    token, counts = subject.iterator(table), []
    for _ in range(4):
        page = subject.streams.get_records(ShardIterator=token, Limit=3)
        counts.append(len(page["Records"]))
        token = page["NextShardIterator"]
    assert counts == [3, 3, 1, 0]


def test_an_iterator_answers_the_same_each_time(subject: Subject) -> None:
    table = subject.create(ID)
    subject.put(table, *numbered(3))
    token = subject.iterator(table)
    first, second = (subject.streams.get_records(ShardIterator=token) for _ in range(2))
    assert first["Records"] == second["Records"]


def test_each_iterator_type_starts_at_its_place(subject: Subject) -> None:
    table = subject.create(ID)
    subject.put(table, *numbered(5))
    latest = subject.iterator(table, "LATEST")
    numbers = [record["dynamodb"]["SequenceNumber"] for record in subject.records(table)]

    def start(kind: str) -> list[str]:
        records = subject.records(table, kind, SequenceNumber=numbers[2])
        return [record["dynamodb"]["SequenceNumber"] for record in records]

    assert start("AT_SEQUENCE_NUMBER") == numbers[2:]
    assert start("AFTER_SEQUENCE_NUMBER") == numbers[3:]
    subject.put(table, {"id": {"S": "later"}})
    (record,) = subject.streams.get_records(ShardIterator=latest)["Records"]
    assert record["dynamodb"]["Keys"] == {"id": {"S": "later"}}


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("TRIM_HORIZON", {"SequenceNumber": "1" * 21}),
        ("AFTER_SEQUENCE_NUMBER", {}),
        ("AFTER_SEQUENCE_NUMBER", {"SequenceNumber": "0" * 21}),
    ],
)
def test_an_iterator_wants_a_number_of_its_shard_where_its_type_has_one(
    subject: Subject, kind: str, number: dict[str, str]
) -> None:
    table = subject.create(ID)
    code, _ = refused(
        subject.streams.get_shard_iterator,
        StreamArn=subject.arn(table),
        ShardId=subject.shard(table),
        ShardIteratorType=kind,
        **number,
    )
    assert code == "ValidationException"


def test_an_unknown_stream_or_shard_is_a_missing_resource(subject: Subject) -> None:
    arn = subject.arn(subject.create(ID))
    unknown = arn[:-3] + "xyz"
    code, message = refused(subject.streams.describe_stream, StreamArn=unknown)
    assert code == "ResourceNotFoundException"
    assert message == f"Requested resource not found: Stream: {unknown} not found"
    code, _ = refused(
        subject.streams.get_shard_iterator,
        StreamArn=arn,
        ShardId="shardId-00000000000000000000-00000000",
        ShardIteratorType="TRIM_HORIZON",
    )
    assert code == "ResourceNotFoundException"


def test_a_bad_iterator_or_limit_is_invalid(subject: Subject) -> None:
    code, _ = refused(subject.streams.get_records, ShardIterator="nonsense")
    assert code == "ValidationException"
    token = subject.iterator(subject.create(ID))
    code, _ = refused(subject.streams.get_records, ShardIterator=token, Limit=1001)
    assert code == "ValidationException"


# Disabling the stream


def test_a_disabled_stream_closes_its_shards_and_stays_readable(subject: Subject) -> None:
    table = subject.create(ID)
    subject.put(table, OLD)
    latest = subject.iterator(table, "LATEST")
    arn = subject.arn(table)
    subject.disable_stream(table)
    subject.put(table, NEW)

    described = subject.describe(table)
    assert "StreamSpecification" not in described
    assert described["LatestStreamArn"] == arn
    found = subject.streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert found["StreamStatus"] == "DISABLED"
    ending = int(found["Shards"][0]["SequenceNumberRange"]["EndingSequenceNumber"])

    page = subject.streams.get_records(ShardIterator=subject.iterator(table))
    assert [record["eventName"] for record in page["Records"]] == ["INSERT"]
    assert int(page["Records"][-1]["dynamodb"]["SequenceNumber"]) <= ending
    assert "NextShardIterator" not in page
    page = subject.streams.get_records(ShardIterator=latest)
    assert page["Records"] == []
    assert "NextShardIterator" not in page


def test_a_closed_shard_gives_a_next_iterator_until_its_last_record(subject: Subject) -> None:
    table = subject.create(ID)
    subject.put(table, *numbered(4))
    subject.disable_stream(table)
    first = subject.streams.get_records(ShardIterator=subject.iterator(table), Limit=3)
    rest = subject.streams.get_records(ShardIterator=first["NextShardIterator"], Limit=3)
    assert [len(page["Records"]) for page in (first, rest)] == [3, 1]
    assert "NextShardIterator" not in rest


def test_a_stream_enabled_again_is_another_stream(subject: Subject) -> None:
    table = subject.create(ID)
    before = subject.arn(table)
    subject.disable_stream(table)
    subject.put(table, OLD)
    subject.enable_stream(table, "NEW_IMAGE")
    subject.put(table, NEW)
    after = subject.arn(table)
    assert after != before
    (record,) = subject.records(table)
    assert record["eventName"] == "MODIFY"
    assert "OldImage" not in record["dynamodb"]
    assert subject.streams.describe_stream(StreamArn=before)["StreamDescription"]["Shards"]
