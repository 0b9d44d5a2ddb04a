"""R1: DynamoDB and DynamoDB Streams as a script, over real HTTP, for real botocore clients.

with ScriptedDynamoDB() as rig:
    orders = rig.create_table("orders", KeySchema(Key("id")))
    orders.put({"id": {"S": "1"}, "n": {"N": "5"}})
    left, right = orders.stream.split()
    rig.faults.add(faults.throttle(), on="Scan", segment=2, times=3)
    rig.clock.advance(hours=23)
    rig.client("dynamodbstreams").describe_stream(StreamArn=orders.stream.arn)
    rig.calls.count("DescribeStream")
"""

from . import faults
from .clock import RunningClock, VirtualClock
from .items import Key, KeySchema
from .prerendered import PrerenderedTable
from .replication import Replication, global_table
from .service import ScriptedDynamoDB, connect
from .shards import SequenceNumbers, Shard
from .stream import Stream
from .table import Table

__all__ = [
    "Key",
    "KeySchema",
    "PrerenderedTable",
    "Replication",
    "RunningClock",
    "ScriptedDynamoDB",
    "SequenceNumbers",
    "Shard",
    "Stream",
    "Table",
    "VirtualClock",
    "connect",
    "faults",
    "global_table",
]
