"""Describes the source table: its identity, and whether it can be replicated."""

from dataclasses import replace
from typing import Any

from connector.core.keys import KeyAttribute
from connector.core.state import Identity
from connector.errors import (
    WAYS_OUT,
    BadAnswer,
    HistoryLost,
    SourceRefused,
    TableUnavailable,
    Unreachable,
    enable_command,
    no_stream,
)
from connector.ports import IN_STEP, Description, GlobalTable
from connector.sources.dynamodb.calls import Caller, error_code, member

WITH_IMAGES = ("NEW_IMAGE", "NEW_AND_OLD_IMAGES")
WITHOUT_IMAGES = ("KEYS_ONLY", "OLD_IMAGE")
"""Of records of these view types, the items are looked up by key."""


def describe(
    call: Caller, dynamodb: Any, name: str, streamed: bool = True, several: bool = False
) -> Description:
    """Identity and size of a table, and of its stream if that is to be read.

    Raises SourceRefused if it then has none, or one of an unknown view type; `several` as in
    `fetch`.
    """
    table = fetch(call, dynamodb, name, several)
    region = dynamodb.meta.region_name
    refuse_status(name, table)
    if not streamed:
        bare = {**table, "StreamSpecification": None, "LatestStreamArn": ""}
        # Whatever it is followed by, or nothing, goes on without a stream.
        return replace(description(bare, region), streaming=True)
    refuse_stream(name, table, region if global_table(table) else "")
    return description(table, region)


def fetch(call: Caller, dynamodb: Any, name: str, several: bool = False) -> dict[str, Any]:
    """The answer to DescribeTable, whatever the table's status.

    Where it may be read in `several` Regions, the hint is about replicas.
    """
    try:
        return call(dynamodb.describe_table, _described, TableName=name)
    except Exception as error:
        code, region = error_code(error), dynamodb.meta.region_name
        other = _region(name)
        if code in _NOT_HERE and other not in ("", region):
            raise SourceRefused(
                f"The table {name} is in {other}, but source.region is {region}.",
                f"Set source.region to {other}, or name the replica in {region}.",
            ) from error
        if code == "ResourceNotFoundException":
            raise SourceRefused(
                f"There is no table {name} in {region} at {dynamodb.meta.endpoint_url}.",
                _NO_REPLICA if several else _NO_TABLE,
            ) from error
        if code == "ValidationException":
            raise SourceRefused(
                f"{name} is not a table name that DynamoDB accepts.",
                "A name has 3 to 255 letters, digits, dots, hyphens and underscores; an ARN has "
                "the form arn:aws:dynamodb:us-west-2:123456789012:table/orders.",
            ) from error
        raise


_NO_TABLE = (
    "Check the name, source.region and the account of the credentials; a table in another account "
    "must be named by its ARN."
)
_NO_REPLICA = (
    "Check the name and the account of the credentials. If it is a global table, it has no replica "
    "there, or only a witness, which holds no table: choose another of source.regions."
)
_NOT_HERE = ("ResourceNotFoundException", "ValidationException", "AccessDeniedException")


def _region(name: str) -> str:
    """The Region in a table's ARN; an empty string for a name."""
    parts = name.split(":", 5)
    return parts[3] if len(parts) == 6 and parts[0] == "arn" else ""


def _described(answer: dict[str, Any]) -> dict[str, Any]:
    table: dict[str, Any] = member("Table")(answer)
    for needed in ("TableStatus", "TableArn", "KeySchema", "AttributeDefinitions"):
        if table.get(needed) is None:
            raise BadAnswer(f"The answer to DescribeTable lacks {needed}.", "Run again.")
    return table


_UNAVAILABLE = {
    "ARCHIVED": (
        "DynamoDB archived it because its KMS key could not be used for seven days",
        "Restore the backup that DynamoDB made of it, and configure the restored table.",
    ),
    "ARCHIVING": (
        "DynamoDB is archiving it because its KMS key could not be used for seven days",
        "Restore the backup that DynamoDB makes of it, and configure the restored table.",
    ),
    "DELETING": (
        "it is being deleted",
        "Remove it from `tables:` if that is intended; what was replicated stays as it is.",
    ),
    "INACCESSIBLE_ENCRYPTION_CREDENTIALS": (
        "the KMS key that it is encrypted with cannot be used",
        "Enable the key, cancel its deletion, or restore DynamoDB's grant on it, within seven "
        "days: after that DynamoDB archives the table.",
    ),
}
# A replica that may not be replicated to can still be read.
_READABLE = ("ACTIVE", "UPDATING", "REPLICATION_NOT_AUTHORIZED")


def refuse_status(name: str, table: dict[str, Any]) -> None:
    """Raises TableUnavailable if someone must act before the table can be read again."""
    status = table["TableStatus"]
    if status in _READABLE:
        return
    if status in _UNAVAILABLE:
        why, hint = _UNAVAILABLE[status]
        raise TableUnavailable(f"The table {name} is {status}: {why}.", hint)
    raise Unreachable(f"The table {name} is {status}.", "Wait until it is ACTIVE.")


def refuse_stream(name: str, table: dict[str, Any], region: str = "") -> None:
    """Raises SourceRefused if the table has no stream, or one of an unknown view type.

    Of a replica, the hint says in which `region` to enable it.
    """
    stream = table.get("StreamSpecification") or {}
    view = stream.get("StreamViewType")
    if _streaming(table) and view not in (*WITH_IMAGES, *WITHOUT_IMAGES):
        raise SourceRefused(
            f"The stream of {name} has a view type that this program does not know.",
            "A stream's view type cannot be changed: disable it, then "
            f"{enable_command(name, region)}",
        )
    if not _streaming(table) and not table.get("LatestStreamArn"):
        raise no_stream(name, region)


def _streaming(table: dict[str, Any]) -> bool:
    # LatestStreamArn outlives a disabled stream, so only the specification is reliable.
    return bool((table.get("StreamSpecification") or {}).get("StreamEnabled"))


def description(table: dict[str, Any], region: str) -> Description:
    """The description of a table from DescribeTable's answer in a Region."""
    view = (table.get("StreamSpecification") or {}).get("StreamViewType", "")
    return Description(
        identity=_identity(table, view, region),
        item_count=int(table.get("ItemCount", 0)),
        size_bytes=int(table.get("TableSizeBytes", 0)),
        images=view not in WITHOUT_IMAGES,
        streaming=_streaming(table),
        status=table["TableStatus"],
        group=global_table(table),
    )


def global_table(table: dict[str, Any]) -> GlobalTable | None:
    """The global table that a table is a replica of, by DescribeTable's answer."""
    replicas = table.get("Replicas") or []
    if not replicas and not table.get("GlobalTableVersion"):
        return None
    return GlobalTable(
        {each["RegionName"]: each.get("ReplicaStatus", "ACTIVE") for each in replicas},
        table.get("MultiRegionConsistency") or "EVENTUAL",
        [each.get("RegionName", "") for each in table.get("GlobalTableWitnesses") or []],
    )


def replicas_text(group: GlobalTable, here: str) -> str:
    """The replicas of a global table, of which one is `here`, and what holds between them."""
    others = [f"{name} {status}" for name, status in group.replicas.items() if name != here]
    how = "EVENTUAL: the last writer wins" if group.consistency == "EVENTUAL" else group.consistency
    witness = f"; witness {', '.join(group.witnesses)}" if group.witnesses else ""
    return f"{here}; others: {', '.join(others) or 'none'}; consistency {how}{witness}"


def refuse_replica(name: str, group: GlobalTable, region: str) -> None:
    """Raises SourceRefused if another Region has no replica that a table could go on in."""
    status = group.replicas.get(region)
    if region in group.witnesses:
        raise SourceRefused(
            f"{region} is the witness of {name}: it holds no items that could be read.",
            f"Take {region} out of source.regions.",
        )
    if status is None:
        raise SourceRefused(
            f"The global table {name} has no replica in {region}.",
            f"Add one in AWS, or take {region} out of source.regions.",
        )
    if status not in IN_STEP:
        raise SourceRefused(
            f"The replica of {name} in {region} is {status}, so it may miss what others write.",
            "It can be failed over to once it is ACTIVE.",
        )


def key_schema(table: dict[str, Any]) -> tuple[KeyAttribute, ...]:
    """The key attributes, the partition key first."""
    tags = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    schema = sorted(table["KeySchema"], key=lambda part: part["KeyType"] != "HASH")
    return tuple(KeyAttribute(p["AttributeName"], tags[p["AttributeName"]]) for p in schema)


def _identity(table: dict[str, Any], view_type: str, region: str) -> Identity:
    return Identity(
        table_arn=table["TableArn"],
        table_id=table.get("TableId", ""),
        stream_arn=table["LatestStreamArn"],
        view_type=view_type,
        keys=key_schema(table),
        region=region,
    )


def check_identity(planned: Identity, description: Description) -> None:
    """Raises HistoryLost if the table or its stream is no longer the planned one.

    A stream that was switched off is still the planned one: it can be read to its end.
    """
    # A state of an earlier version has no Region.
    now = replace(description.identity, region=planned.region)
    if not now.stream_arn:
        # No stream is read: with one or without, it is the same table.
        now = replace(now, stream_arn=planned.stream_arn, view_type=planned.view_type)
    elif not description.streaming:
        now = replace(now, view_type=planned.view_type)
    if planned.table_arn != now.table_arn:
        raise HistoryLost(
            f"The table is now {now.table_arn}, but {planned.table_arn} was replicated.", WAYS_OUT
        )
    if planned.table_id != now.table_id:
        raise HistoryLost(
            f"The table {now.table_arn} was deleted and created again since it was first read.",
            WAYS_OUT,
        )
    if planned.stream_arn != now.stream_arn:
        raise HistoryLost(
            f"The stream is now {now.stream_arn}, but {planned.stream_arn} was read; changes made "
            "in between are in neither of them.",
            WAYS_OUT,
        )
    if planned != now:
        raise HistoryLost(
            f"The keys or the stream's view type of {now.table_arn} have changed.", WAYS_OUT
        )
