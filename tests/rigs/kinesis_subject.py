"""What the conformance suite sees of a Kinesis stream, be it scripted or ministack's."""

import json
import uuid
from dataclasses import dataclass
from typing import Any

from .scripted import Key, KeySchema, ScriptedDynamoDB

SHARDS = 2


@dataclass(frozen=True)
class KinesisSubject:
    """A table that sends its changes to a stream with two shards."""

    dynamodb: Any
    kinesis: Any
    table: str
    stream: str
    rig: ScriptedDynamoDB | None

    def put(self, name: str, n: int) -> None:
        """Writes a whole item."""
        self.dynamodb.put_item(TableName=self.table, Item=item(name, n))

    def delete(self, name: str) -> None:
        """Deletes one item."""
        self.dynamodb.delete_item(TableName=self.table, Key={"id": {"S": name}})

    def wait(self) -> None:
        """Lets time pass; with a real clock, that takes no help."""
        if self.rig is not None:
            self.rig.clock.advance(0.25)

    def shards(self) -> list[str]:
        """The ids of all shards."""
        listed = self.kinesis.list_shards(StreamARN=self.stream)["Shards"]
        return [str(shard["ShardId"]) for shard in listed]

    def iterator(self, shard: str, kind: str = "TRIM_HORIZON", **more: Any) -> str:
        """An iterator into a shard."""
        got = self.kinesis.get_shard_iterator(
            StreamARN=self.stream, ShardId=shard, ShardIteratorType=kind, **more
        )
        return str(got["ShardIterator"])

    def page(self, iterator: str, **more: Any) -> dict[str, Any]:
        """One answer to GetRecords."""
        got: dict[str, Any] = self.kinesis.get_records(
            StreamARN=self.stream, ShardIterator=iterator, **more
        )
        return got

    def records(self, shard: str, kind: str = "TRIM_HORIZON", **more: Any) -> list[dict[str, Any]]:
        """The first page of records from such an iterator."""
        records: list[dict[str, Any]] = self.page(self.iterator(shard, kind, **more))["Records"]
        return records

    def put_into(self, shard: str) -> None:
        """Writes until a shard that has a record has another one."""
        found = self.records(shard)
        # The scripted server sends an item's changes to one shard; ministack sends them to any.
        name = content(found[0])["dynamodb"]["Keys"]["id"]["S"]
        for n in range(1000, 2000):
            self.put(name, n + len(found))
            if len(self.records(shard)) > len(found):
                return
        raise AssertionError("the records are in no shard")

    def busy_shard(self, count: int) -> str:
        """Writes until one shard has at least so many records, and gives that."""
        for n in range(count * 10):
            self.put(f"order-{n}", n)
            for shard in self.shards():
                if len(self.records(shard)) >= count:
                    return shard
        raise AssertionError("the records are in no shard")


def item(name: str, n: int) -> dict[str, Any]:
    """An item in wire form."""
    return {"id": {"S": name}, "n": {"N": str(n)}}


def content(record: dict[str, Any]) -> dict[str, Any]:
    """What DynamoDB has written into a record."""
    found: dict[str, Any] = json.loads(record["Data"])
    return found


def scripted_stream(rig: ScriptedDynamoDB, dynamodb: Any, kinesis: Any) -> KinesisSubject:
    """A table of a scripted server, with a stream that answers as often as it is asked."""
    name = f"orders-{uuid.uuid4().hex}"
    rig.create_table(name, KeySchema(Key("id")), view=None)
    stream = rig.add_kinesis(name, shards=SHARDS)
    stream.limited = False
    return KinesisSubject(dynamodb, kinesis, name, stream.arn, rig)


def created_stream(dynamodb: Any, kinesis: Any) -> KinesisSubject:
    """A table and a stream that are created through the API."""
    name = f"orders-{uuid.uuid4().hex}"
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    kinesis.create_stream(StreamName=name, ShardCount=SHARDS)
    described = kinesis.describe_stream_summary(StreamName=name)
    arn = str(described["StreamDescriptionSummary"]["StreamARN"])
    dynamodb.enable_kinesis_streaming_destination(TableName=name, StreamArn=arn)
    return KinesisSubject(dynamodb, kinesis, name, arn, None)
