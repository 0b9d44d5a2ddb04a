"""The operations clients may call, by the name in X-Amz-Target."""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .backups import describe_backups, describe_export, list_exports, start_export
from .errors import ServiceError, invalid
from .items import Item, Key, KeySchema, Value, canonical, canonical_item, measured
from .kinesis import wrong
from .prerendered import PrerenderedTable
from .reading import Iterator, describe_stream, get_records, get_shard_iterator
from .responses import Response
from .scan import scan
from .table import Table

if TYPE_CHECKING:
    from .service import ScriptedDynamoDB

Parameters = Mapping[str, Any]
Operation = Callable[["ScriptedDynamoDB", Parameters], Response]

GOT_BYTES = 16 * 1024 * 1024
GOT_KEYS = 100
CLAUSE = re.compile(r"\s*(SET|REMOVE)\s+(.*?)\s*(?=\b(?:SET|REMOVE)\s|$)", re.DOTALL)
ASSIGNMENT = re.compile(r"(#?[\w.]+)\s*=\s*(:\w+)")
CONDITIONS = ("ConditionExpression", "Expected", "AttributeUpdates", "ReturnValues")


def describe_table(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """DescribeTable."""
    return Response.of({"Table": service.table(parameters["TableName"]).describe()})


def scan_table(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """Scan."""
    table = service.table(parameters["TableName"])
    if isinstance(table, PrerenderedTable):
        return table.page(parameters)
    return Response(scan(table, parameters))


def batch_get_item(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """BatchGetItem, without projections and always consistent."""
    found: dict[str, list[Item]] = {}
    left: dict[str, dict[str, Any]] = {}
    consumed: list[dict[str, Any]] = []
    for name, request in parameters["RequestItems"].items():
        table, keys = service.model(name), request["Keys"]
        refuse_keys(table, keys)
        size, units = 0, 0.0
        found[name] = []
        for answered, key in enumerate(keys):
            item = table.get(key)
            # Half a unit for 4 KB, a whole one for a consistent read; what is not there costs, too.
            cost = max(1, -(-(measured(item) if item else 0) // 4096))
            size += measured(item) if item else 0
            if answered and size > GOT_BYTES:
                left[name] = {**request, "Keys": keys[answered:]}
                break
            units += cost * (1.0 if request.get("ConsistentRead") else 0.5)
            if item is not None:
                found[name].append(item)
        consumed.append({"TableName": table.name, "CapacityUnits": units})
    content: dict[str, Any] = {"Responses": found, "UnprocessedKeys": left}
    if parameters.get("ReturnConsumedCapacity", "NONE") != "NONE":
        content["ConsumedCapacity"] = consumed
    return Response.of(content)


def refuse_keys(table: Table, keys: list[Item]) -> None:
    """Raises what the service says of too many keys, of none, and of a key twice."""
    if not 1 <= len(keys) <= GOT_KEYS:
        raise invalid("Too many items requested for the BatchGetItem call")
    if len({table.schema.position(key) for key in keys}) < len(keys):
        raise invalid("Provided list of item keys contains duplicates")


def create_table(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """CreateTable; the table is ACTIVE at once."""
    types = {
        each["AttributeName"]: each["AttributeType"] for each in parameters["AttributeDefinitions"]
    }
    keys = {
        each["KeyType"]: Key(each["AttributeName"], types[each["AttributeName"]])
        for each in parameters["KeySchema"]
    }
    stream = parameters.get("StreamSpecification", {})
    table = service.create_table(
        parameters["TableName"],
        KeySchema(keys["HASH"], keys.get("RANGE")),
        view=stream["StreamViewType"] if stream.get("StreamEnabled") else None,
        billing=parameters.get("BillingMode", "PROVISIONED"),
    )
    return Response.of({"TableDescription": table.describe()})


def put_item(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """PutItem, without conditions."""
    table = writable(service, parameters)
    item = checked(table, parameters["Item"])
    table.put(item)
    return Response.of({})


def delete_item(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """DeleteItem, without conditions."""
    table = writable(service, parameters)
    table.delete(checked(table, parameters["Key"]))
    return Response.of({})


def update_item(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """UpdateItem, with `SET name = :value, …` and `REMOVE name, …` and nothing else."""
    table = writable(service, parameters)
    key = checked(table, parameters["Key"])
    names = parameters.get("ExpressionAttributeNames", {})
    values = parameters.get("ExpressionAttributeValues", {})
    changed: dict[str, Value] = {}
    removed: list[str] = []
    rest = parameters.get("UpdateExpression", "")
    for clause in CLAUSE.finditer(rest):
        for part in clause[2].split(","):
            if clause[1].upper() == "REMOVE":
                removed.append(names.get(part.strip(), part.strip()))
                continue
            found = ASSIGNMENT.fullmatch(part.strip())
            if found is None:
                raise invalid(f"The rig's UpdateItem does not serve {part!r}")
            changed[names.get(found[1], found[1])] = canonical(values[found[2]])
    if CLAUSE.sub("", rest).strip():
        raise invalid(f"The rig's UpdateItem does not serve {rest!r}")
    table.update(key, changed, removed)
    return Response.of({})


def writable(service: "ScriptedDynamoDB", parameters: Parameters) -> Table:
    """The model table a write goes to."""
    for name in CONDITIONS:
        if parameters.get(name, "NONE") != "NONE":
            raise invalid(f"The rig's writes do not serve {name}")
    return service.model(parameters["TableName"])


def checked(table: Table, item: Item) -> dict[str, Value]:
    """The item as the service would store it; raises for an invalid key."""
    for key in table.schema.keys:
        if key.name in item and not item[key.name].get(key.type, "x"):
            raise invalid(
                "One or more parameter values are not valid. The AttributeValue for a key "
                f"attribute cannot contain an empty string value. Key: {key.name}"
            )
    table.schema.position(item)
    return canonical_item(item)


def list_streams(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """ListStreams, all on one page."""
    wanted = parameters.get("TableName")
    streams = [
        {"StreamArn": stream.arn, "TableName": stream.table, "StreamLabel": stream.label}
        for stream in service.streams.values()
        if wanted in (None, stream.table) and not stream.gone()
    ]
    return Response.of({"Streams": streams})


def describe(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """DescribeStream."""
    return Response.of(describe_stream(service.stream(parameters["StreamArn"]), parameters))


def shard_iterator(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """GetShardIterator."""
    return Response.of(get_shard_iterator(service.stream(parameters["StreamArn"]), parameters))


def records(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """GetRecords."""
    iterator = Iterator.parse(parameters["ShardIterator"])
    return Response(get_records(service.stream(iterator.arn), iterator, parameters))


def describe_link(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """DescribeKinesisStreamingDestination."""
    table = service.table(parameters["TableName"])
    links = [
        {
            "StreamArn": stream.arn,
            "DestinationStatus": stream.link,
            "ApproximateCreationDateTimePrecision": stream.precision,
        }
        for stream in service.kinesis.values()
        if stream.table == table.name and stream.link
    ]
    return Response.of({"TableName": table.name, "KinesisDataStreamDestinations": links})


def kinesis_summary(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """DescribeStreamSummary."""
    return Response.of(service.kinesis_stream(parameters["StreamARN"]).summary())


def kinesis_shards(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """ListShards."""
    return Response.of(service.kinesis_stream(parameters["StreamARN"]).list_shards(parameters))


def kinesis_iterator(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """Kinesis' GetShardIterator."""
    return Response.of(service.kinesis_stream(parameters["StreamARN"]).iterator(parameters))


def kinesis_records(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """Kinesis' GetRecords."""
    iterator = Iterator.parse(parameters["ShardIterator"], wrong)
    return Response(service.kinesis_stream(iterator.arn).records(iterator, parameters))


def shard_of(operation: str, parameters: Parameters) -> str | None:
    """The shard a request reads, if it names one."""
    if operation != "GetRecords":
        return parameters.get("ShardId")
    try:
        return Iterator.parse(parameters["ShardIterator"]).shard
    except (KeyError, ServiceError):
        return None


OPERATIONS: dict[str, Operation] = {
    "DynamoDB_20120810.DescribeTable": describe_table,
    "DynamoDB_20120810.Scan": scan_table,
    "DynamoDB_20120810.BatchGetItem": batch_get_item,
    "DynamoDB_20120810.DescribeContinuousBackups": describe_backups,
    "DynamoDB_20120810.DescribeExport": describe_export,
    "DynamoDB_20120810.ListExports": list_exports,
    "DynamoDB_20120810.ExportTableToPointInTime": start_export,
    "DynamoDB_20120810.CreateTable": create_table,
    "DynamoDB_20120810.PutItem": put_item,
    "DynamoDB_20120810.DeleteItem": delete_item,
    "DynamoDB_20120810.UpdateItem": update_item,
    "DynamoDBStreams_20120810.ListStreams": list_streams,
    "DynamoDBStreams_20120810.DescribeStream": describe,
    "DynamoDBStreams_20120810.GetShardIterator": shard_iterator,
    "DynamoDBStreams_20120810.GetRecords": records,
    "DynamoDB_20120810.DescribeKinesisStreamingDestination": describe_link,
    "Kinesis_20131202.DescribeStreamSummary": kinesis_summary,
    "Kinesis_20131202.ListShards": kinesis_shards,
    "Kinesis_20131202.GetShardIterator": kinesis_iterator,
    "Kinesis_20131202.GetRecords": kinesis_records,
}
