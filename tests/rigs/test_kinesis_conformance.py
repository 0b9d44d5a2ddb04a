"""One suite for the scripted Kinesis and ministack's, which nobody here wrote.

What ministack does otherwise than the service is listed in `tests/rigs/ministack.py`.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .kinesis_subject import SHARDS, KinesisSubject, content, created_stream, item, scripted_stream
from .scripted import connect


@pytest.fixture(params=["scripted", "ministack"])
def subject(request: pytest.FixtureRequest) -> Iterator[KinesisSubject]:
    if request.param == "scripted":
        rig = request.getfixturevalue("scripted")
        yield scripted_stream(rig, rig.client(), rig.client("kinesis"))
        return
    url = request.getfixturevalue("ministack")
    dynamodb, kinesis = connect(url), connect(url, "kinesis")
    yield created_stream(dynamodb, kinesis)
    dynamodb.close()
    kinesis.close()


def refused(call: Any, **parameters: Any) -> str:
    """The code of the error this call meets."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


# The stream and its shards


def test_a_stream_says_how_long_it_keeps_its_records(subject: KinesisSubject) -> None:
    found = subject.kinesis.describe_stream_summary(StreamARN=subject.stream)
    summary = found["StreamDescriptionSummary"]
    assert summary["StreamARN"] == subject.stream
    assert summary["StreamName"] == subject.stream.rpartition("/")[2]
    assert summary["StreamStatus"] == "ACTIVE"
    assert summary["RetentionPeriodHours"] == 24
    assert summary["OpenShardCount"] == SHARDS
    assert isinstance(summary["StreamCreationTimestamp"], datetime)


def test_a_table_names_the_streams_it_sends_to(subject: KinesisSubject) -> None:
    found = subject.dynamodb.describe_kinesis_streaming_destination(TableName=subject.table)
    assert found["TableName"] == subject.table
    (link,) = found["KinesisDataStreamDestinations"]
    assert link["StreamArn"] == subject.stream
    assert link["DestinationStatus"] == "ACTIVE"
    assert link["ApproximateCreationDateTimePrecision"] in ("MILLISECOND", "MICROSECOND")


def test_open_shards_share_all_hashes(subject: KinesisSubject) -> None:
    shards = subject.kinesis.list_shards(StreamARN=subject.stream)["Shards"]
    assert len(shards) == SHARDS
    ranges = []
    for shard in shards:
        assert shard["ShardId"].startswith("shardId-")
        assert not {"ParentShardId", "AdjacentParentShardId"} & shard.keys()
        assert shard["SequenceNumberRange"]["StartingSequenceNumber"].isdecimal()
        assert "EndingSequenceNumber" not in shard["SequenceNumberRange"]
        hashes = shard["HashKeyRange"]
        ranges.append((int(hashes["StartingHashKey"]), int(hashes["EndingHashKey"])))
    assert (ranges[0][0], ranges[-1][1]) == (0, 2**128 - 1)
    assert all(low == high + 1 for (_, high), (low, _) in pairwise(ranges))


def test_a_listing_goes_on_after_a_shard(subject: KinesisSubject) -> None:
    first, second = subject.shards()
    page = subject.kinesis.list_shards(StreamARN=subject.stream, MaxResults=1)
    assert [shard["ShardId"] for shard in page["Shards"]] == [first]
    assert page["NextToken"]
    rest = subject.kinesis.list_shards(
        StreamARN=subject.stream, MaxResults=1, ExclusiveStartShardId=first
    )
    assert [shard["ShardId"] for shard in rest["Shards"]] == [second]
    assert "NextToken" not in rest


# Records


def test_writes_become_records_that_name_their_table(subject: KinesisSubject) -> None:
    subject.put("1", 1)
    subject.put("1", 2)
    subject.delete("1")
    found = [content(record) for shard in subject.shards() for record in subject.records(shard)]
    by_event = {each["eventName"]: each for each in found}
    assert len(found) == len(by_event) == 3
    for each in found:
        assert each["eventSource"] == "aws:dynamodb"
        assert each["awsRegion"] == "us-west-2"
        assert each["dynamodb"]["Keys"] == {"id": {"S": "1"}}
        assert each["dynamodb"]["ApproximateCreationDateTime"] > 10**9
        # One of the two says it.
        named = each.get("tableName") or each["eventSourceARN"].split("/")[1]
        assert named == subject.table
    old, new = item("1", 1), item("1", 2)
    images = {
        event: (each["dynamodb"].get("OldImage"), each["dynamodb"].get("NewImage"))
        for event, each in by_event.items()
    }
    assert images == {"INSERT": (None, old), "MODIFY": (old, new), "REMOVE": (new, None)}


def test_records_of_a_shard_are_numbered_as_they_arrive(subject: KinesisSubject) -> None:
    records = subject.records(subject.busy_shard(3))
    numbers = [record["SequenceNumber"] for record in records]
    assert all(number.isdecimal() for number in numbers)
    assert all(int(one) < int(next_) for one, next_ in pairwise(numbers))
    arrived = [record["ApproximateArrivalTimestamp"] for record in records]
    assert arrived == sorted(arrived)


def test_records_come_in_pages_of_at_most_the_limit(subject: KinesisSubject) -> None:
    shard = subject.busy_shard(4)
    every = len(subject.records(shard))
    token, counts = subject.iterator(shard), []
    for _ in range(3):
        page = subject.page(token, Limit=3)
        counts.append(len(page["Records"]))
        token = page["NextShardIterator"]
        assert page["MillisBehindLatest"] >= 0
    assert counts == [3, every - 3, 0]
    assert page["MillisBehindLatest"] == 0


def test_an_open_shard_always_has_a_next_iterator(subject: KinesisSubject) -> None:
    shard = subject.shards()[0]
    token = subject.iterator(shard)
    for _ in range(5):
        page = subject.page(token)
        assert page["Records"] == []
        token = page["NextShardIterator"]


def test_an_iterator_answers_the_same_each_time(subject: KinesisSubject) -> None:
    token = subject.iterator(subject.busy_shard(2))
    first, second = (subject.page(token)["Records"] for _ in range(2))
    assert first and first == second


def test_each_iterator_type_starts_at_its_place(subject: KinesisSubject) -> None:
    shard = subject.busy_shard(4)
    latest = subject.iterator(shard, "LATEST")
    numbers = [record["SequenceNumber"] for record in subject.records(shard)]

    def start(kind: str, number: str) -> list[str]:
        records = subject.records(shard, kind, StartingSequenceNumber=number)
        return [record["SequenceNumber"] for record in records]

    assert start("AT_SEQUENCE_NUMBER", numbers[2]) == numbers[2:]
    assert start("AFTER_SEQUENCE_NUMBER", numbers[2]) == numbers[3:]
    assert start("AFTER_SEQUENCE_NUMBER", numbers[-1]) == []
    assert subject.page(latest)["Records"] == []
    subject.put_into(shard)
    (record,) = subject.page(latest)["Records"]
    assert record["SequenceNumber"] not in numbers


def test_a_time_starts_at_what_arrived_since(subject: KinesisSubject) -> None:
    shard = subject.busy_shard(2)
    first = subject.records(shard)[0]["ApproximateArrivalTimestamp"].replace(microsecond=0)
    last = first
    while last == first:
        subject.wait()
        subject.put_into(shard)
        found = subject.records(shard)
        last = found[-1]["ApproximateArrivalTimestamp"].replace(microsecond=0)
    since = subject.records(shard, "AT_TIMESTAMP", Timestamp=last)
    assert since == [each for each in found if each["ApproximateArrivalTimestamp"] >= last]
    assert 0 < len(since) < len(found)
    assert subject.records(shard, "AT_TIMESTAMP", Timestamp=first) == found


# What is refused


def test_an_unknown_stream_or_shard_is_a_missing_resource(subject: KinesisSubject) -> None:
    kinesis, unknown = subject.kinesis, f"{subject.stream}-of-nobody"
    for call in (kinesis.describe_stream_summary, kinesis.list_shards):
        assert refused(call, StreamARN=unknown) == "ResourceNotFoundException"
    for stream, shard in ((unknown, subject.shards()[0]), (subject.stream, "shardId-000000000099")):
        code = refused(
            kinesis.get_shard_iterator,
            StreamARN=stream,
            ShardId=shard,
            ShardIteratorType="TRIM_HORIZON",
        )
        assert code == "ResourceNotFoundException"


def test_an_iterator_that_was_never_issued_is_refused(subject: KinesisSubject) -> None:
    code = refused(subject.kinesis.get_records, StreamARN=subject.stream, ShardIterator="nonsense")
    # Either makes the connector ask for another one.
    expected = "InvalidArgumentException" if subject.rig else "ExpiredIteratorException"
    assert code == expected


def test_a_table_that_is_not_there_has_no_destination(subject: KinesisSubject) -> None:
    call = subject.dynamodb.describe_kinesis_streaming_destination
    assert refused(call, TableName="nobody") == "ResourceNotFoundException"
