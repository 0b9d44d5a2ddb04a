"""What the source table is: its identity, and whether it can be replicated."""

from typing import Any

from connector.core.keys import KeyAttribute
from connector.core.state import Identity
from connector.dynamodb.calls import Caller, error_code, member
from connector.errors import SourceRefused, Unreachable, enable_command, no_stream
from connector.ports import Description

VIEW_TYPES = ("NEW_IMAGE", "NEW_AND_OLD_IMAGES")


def describe(call: Caller, dynamodb: Any, name: str) -> Description:
    """Identity and size of a table. Raises SourceRefused with what to do where it has no images."""
    try:
        table = call(dynamodb.describe_table, member("Table"), TableName=name)
    except dynamodb.exceptions.ResourceNotFoundException as error:
        region = dynamodb.meta.region_name
        raise SourceRefused(
            f"There is no table {name} in {region} at {dynamodb.meta.endpoint_url}.",
            "Check the name, source.region and the account of the credentials.",
        ) from error
    except Exception as error:
        if error_code(error) == "ValidationException":
            raise SourceRefused(f"{name} is not a table name that DynamoDB accepts.") from error
        raise
    if table["TableStatus"] not in ("ACTIVE", "UPDATING"):
        raise Unreachable(
            f"The table {name} is {table['TableStatus']}.", "Wait until it is ACTIVE."
        )
    stream = table.get("StreamSpecification") or {}
    # LatestStreamArn outlives a disabled stream, so only the specification tells.
    streaming = bool(stream.get("StreamEnabled"))
    if streaming and stream.get("StreamViewType") not in VIEW_TYPES:
        raise SourceRefused(
            f"The stream of {name} is {stream.get('StreamViewType')}: it carries no new images.",
            f"A stream's view type cannot be changed: disable it, then {enable_command(name)}",
        )
    if not streaming and not table.get("LatestStreamArn"):
        raise no_stream(name)
    return Description(
        identity=_identity(table, stream.get("StreamViewType", "")),
        item_count=int(table.get("ItemCount", 0)),
        size_bytes=int(table.get("TableSizeBytes", 0)),
        streaming=streaming,
    )


def _identity(table: dict[str, Any], view_type: str) -> Identity:
    tags = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    schema = sorted(table["KeySchema"], key=lambda part: part["KeyType"] != "HASH")
    return Identity(
        table_arn=table["TableArn"],
        table_id=table.get("TableId", ""),
        stream_arn=table["LatestStreamArn"],
        view_type=view_type,
        keys=tuple(KeyAttribute(p["AttributeName"], tags[p["AttributeName"]]) for p in schema),
    )
