"""R1: DynamoDB and DynamoDB Streams as a script, over real HTTP, for real botocore clients."""

from .clock import RunningClock, VirtualClock
from .items import Key, KeySchema
from .prerendered import PrerenderedTable
from .service import ScriptedDynamoDB, connect
from .shards import SequenceNumbers, Shard
from .stream import Stream
from .table import Table

__all__ = [
    "Key",
    "KeySchema",
    "PrerenderedTable",
    "RunningClock",
    "ScriptedDynamoDB",
    "SequenceNumbers",
    "Shard",
    "Stream",
    "Table",
    "VirtualClock",
    "connect",
]
