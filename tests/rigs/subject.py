"""What the conformance suite sees of a source, be it scripted or DynamoDB Local."""

import uuid
from dataclasses import dataclass
from typing import Any

from .scripted import ScriptedDynamoDB


@dataclass(frozen=True)
class Subject:
    """A source under test, seen only through its clients and one switch."""

    dynamodb: Any
    streams: Any
    rig: ScriptedDynamoDB | None

    @property
    def is_local(self) -> bool:
        """Whether this is DynamoDB Local, which differs in known ways."""
        return self.rig is None

    def create(self, keys: dict[str, str], view: str | None = "NEW_AND_OLD_IMAGES") -> str:
        """Makes a table of a fresh name; `keys` are its key attributes and their types."""
        name = f"orders-{uuid.uuid4().hex}"
        stream = {"StreamEnabled": True, "StreamViewType": view} if view else None
        kinds = ("HASH", "RANGE")
        self.dynamodb.create_table(
            TableName=name,
            KeySchema=[
                {"AttributeName": key, "KeyType": kind}
                for key, kind in zip(keys, kinds, strict=False)
            ],
            AttributeDefinitions=[
                {"AttributeName": key, "AttributeType": kind} for key, kind in keys.items()
            ],
            BillingMode="PAY_PER_REQUEST",
            **({"StreamSpecification": stream} if stream else {}),
        )
        return name

    def enable_stream(self, table: str, view: str) -> None:
        """Clients of the scripted server may not alter tables; the test does it directly."""
        if self.rig is not None:
            self.rig.model(table).enable_stream(view)
            return
        self.dynamodb.update_table(
            TableName=table, StreamSpecification={"StreamEnabled": True, "StreamViewType": view}
        )

    def disable_stream(self, table: str) -> None:
        """Disables the table's stream."""
        if self.rig is not None:
            self.rig.model(table).disable_stream()
            return
        self.dynamodb.update_table(TableName=table, StreamSpecification={"StreamEnabled": False})

    def put(self, table: str, *items: dict[str, Any]) -> None:
        """Writes whole items."""
        for item in items:
            self.dynamodb.put_item(TableName=table, Item=item)

    def delete(self, table: str, key: dict[str, Any]) -> None:
        """Deletes one item."""
        self.dynamodb.delete_item(TableName=table, Key=key)

    def describe(self, table: str) -> dict[str, Any]:
        """The table's description."""
        found: dict[str, Any] = self.dynamodb.describe_table(TableName=table)["Table"]
        return found

    def arn(self, table: str) -> str:
        """The ARN of the newest stream."""
        return str(self.describe(table)["LatestStreamArn"])

    def shard(self, table: str) -> str:
        """The id of the stream's only shard."""
        description = self.streams.describe_stream(StreamArn=self.arn(table))
        (shard,) = description["StreamDescription"]["Shards"]
        return str(shard["ShardId"])

    def iterator(self, table: str, kind: str = "TRIM_HORIZON", **more: Any) -> str:
        """An iterator into the stream's only shard."""
        got = self.streams.get_shard_iterator(
            StreamArn=self.arn(table),
            ShardId=self.shard(table),
            ShardIteratorType=kind,
            **more,
        )
        return str(got["ShardIterator"])

    def records(self, table: str, kind: str = "TRIM_HORIZON", **more: Any) -> list[dict[str, Any]]:
        """The first page of records from such an iterator."""
        got = self.streams.get_records(ShardIterator=self.iterator(table, kind, **more))
        records: list[dict[str, Any]] = got["Records"]
        return records

    def pages(self, table: str, **parameters: Any) -> list[dict[str, Any]]:
        """Every page of a Scan."""
        pages = [self.dynamodb.scan(TableName=table, **parameters)]
        while last := pages[-1].get("LastEvaluatedKey"):
            pages.append(
                self.dynamodb.scan(TableName=table, **{**parameters, "ExclusiveStartKey": last})
            )
        return pages

    def ids(self, table: str, **parameters: Any) -> list[str]:
        """The `id` of every item a Scan finds."""
        pages = self.pages(table, **parameters)
        return [item["id"]["S"] for page in pages for item in page["Items"]]
