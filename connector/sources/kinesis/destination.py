"""Whether and how a table sends its changes to a Kinesis stream."""

from dataclasses import dataclass
from typing import Any

from connector.errors import BadAnswer, SourceRefused
from connector.sources.dynamodb.calls import Caller, error_code

_SENDING = ("ACTIVE", "UPDATING")
ABSENT = "not among the destinations of the table"
_DISABLED = "DISABLED"


@dataclass(frozen=True)
class Link:
    """Whether a table sends its changes to a stream."""

    status: str
    precision: str = ""
    others: tuple[str, ...] = ()
    """Other streams that they go to."""

    @property
    def sends(self) -> bool:
        """Whether changes arrive there now."""
        return self.status in _SENDING

    @property
    def begins(self) -> bool:
        """Whether it soon will."""
        return self.status == "ENABLING"


def link(call: Caller, dynamodb: Any, table: str, stream: str) -> Link:
    """How a table is linked to a stream; one that is gone sends nothing any more."""
    try:
        links = call(dynamodb.describe_kinesis_streaming_destination, _links, TableName=table)
    except Exception as error:
        if error_code(error) == "ResourceNotFoundException":
            return Link(_DISABLED)
        raise
    to = {str(each.get("StreamArn")): each for each in links}
    found = {name: str(each.get("DestinationStatus")) for name, each in to.items()}
    others = [name for name, status in found.items() if Link(status).sends and name != stream]
    return Link(
        found.get(stream, ABSENT),
        str(to.get(stream, {}).get("ApproximateCreationDateTimePrecision", "")),
        tuple(others),
    )


def refusal(table: str, stream: str, found: Link) -> SourceRefused:
    """The error for a stream that a table does not send its changes to."""
    if found.others:
        return SourceRefused(
            f"The table {table} does not send its changes to {stream}, but to {found.others[0]}.",
            f"Set tables.{table}.kinesis to {found.others[0]}.",
        )
    return SourceRefused(
        f"The table {table} does not send its changes to {stream}: it is {found.status}.",
        f"Enable it: {enable_command(table, stream)}",
    )


def enable_command(table: str, stream: str) -> str:
    """The AWS command that makes a table send its changes; only the table's owner runs it."""
    return (
        f"aws dynamodb enable-kinesis-streaming-destination --table-name {table} "
        f"--stream-arn {stream} --enable-kinesis-streaming-configuration "
        "ApproximateCreationDateTimePrecision=MICROSECOND"
    )


def precision_command(table: str, stream: str) -> str:
    """The AWS command that makes times as exact as they can be."""
    return (
        f"aws dynamodb update-kinesis-streaming-destination --table-name {table} "
        f"--stream-arn {stream} --update-kinesis-streaming-configuration "
        "ApproximateCreationDateTimePrecision=MICROSECOND"
    )


def _links(answer: dict[str, Any]) -> list[dict[str, Any]]:
    links = answer.get("KinesisDataStreamDestinations")
    if links is None and answer.get("TableName"):
        return []
    if not isinstance(links, list):
        raise BadAnswer(
            "The answer to DescribeKinesisStreamingDestination has no list of streams.",
            "Run again.",
        )
    return links
