"""A Kinesis stream and its shards, as they are listed."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from connector.core.changes.shards import Retention, Shard
from connector.errors import WAYS_OUT, BadAnswer, HistoryLost
from connector.sources.dynamodb.calls import Caller, error_code, member

MAX_PAGES = 10_000
SHARDS_A_PAGE = 1000

SHORTEST = timedelta(hours=24)
"""How long every Kinesis stream keeps its records at least, and most of them."""


def retention_of(lasts: timedelta) -> Retention:
    """How long a stream's records can be read, which its owner sets: 24 hours to 365 days."""
    return Retention(
        lasts=lasts,
        overlap=timedelta(minutes=2),
        margin=timedelta(minutes=20),
        remembered=lasts + timedelta(hours=24),
        varies=True,
    )


@dataclass(frozen=True)
class Summary:
    """A stream as it is now."""

    arn: str
    status: str
    created_at: datetime
    lasts: timedelta

    @property
    def identity(self) -> str:
        """Its ARN and when it was created: another one may get the same name."""
        return f"{self.arn}/{self.created_at.isoformat(timespec='milliseconds')}"


def summary(call: Caller, kinesis: Any, arn: str) -> Summary:
    """Describes a stream. Raises HistoryLost if it is gone."""
    try:
        found = call(
            kinesis.describe_stream_summary,
            member("StreamDescriptionSummary", "Kinesis"),
            StreamARN=arn,
        )
    except Exception as error:
        if error_code(error) == "ResourceNotFoundException":
            raise HistoryLost(f"The stream {arn} no longer exists.", WAYS_OUT) from error
        raise
    created, hours = found.get("StreamCreationTimestamp"), found.get("RetentionPeriodHours")
    if not isinstance(created, datetime) or not isinstance(hours, int):
        raise BadAnswer(
            "The answer to DescribeStreamSummary lacks the retention or the creation time.",
            "Run again.",
        )
    return Summary(
        arn, str(found.get("StreamStatus", "")), created.astimezone(UTC), timedelta(hours=hours)
    )


def shards(call: Caller, kinesis: Any, arn: str) -> dict[str, Shard]:
    """Every listed shard, from all pages of ListShards."""
    listed: dict[str, Shard] = {}
    start: dict[str, Any] = {}
    for _ in range(MAX_PAGES):
        # Each page goes on after a shard: the token of a page lives for five minutes only.
        page = call(kinesis.list_shards, _page, StreamARN=arn, MaxResults=SHARDS_A_PAGE, **start)
        listed.update((each["ShardId"], _shard(each)) for each in page["Shards"])
        if not page.get("NextToken"):
            return listed
        last = page["Shards"][-1]["ShardId"] if page["Shards"] else None
        if last is None or last == start.get("ExclusiveStartShardId"):
            raise BadAnswer("ListShards keeps repeating the same page.", "Run again.")
        start = {"ExclusiveStartShardId": last}
    raise BadAnswer("ListShards lists shards endlessly.", "Run again.")


def _page(answer: dict[str, Any]) -> dict[str, Any]:
    member("Shards", "Kinesis")(answer)
    return answer


def _shard(listed: dict[str, Any]) -> Shard:
    numbers = listed.get("SequenceNumberRange") or {}
    return Shard(
        id=listed["ShardId"],
        parent=listed.get("ParentShardId"),
        starting=numbers.get("StartingSequenceNumber"),
        ending=numbers.get("EndingSequenceNumber"),
        adjacent=listed.get("AdjacentParentShardId"),
    )
