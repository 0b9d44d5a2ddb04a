"""A Kinesis stream's backlog for load tests: changes of a prerendered table, rendered before.

Every change is a put of one of the table's items with a `revision` of its own, as in a backlog of
DynamoDB Streams; all of them are in order.
"""

import random
from base64 import b64encode
from typing import Any

from .backlog import REVISIONS, Backlog
from .items import rendered
from .kinesis import Arrived, KinesisStream
from .prerendered import PrerenderedTable

LATER = 3600.0
"""Seconds. They are rendered before the plan is made, and must be newer than it."""


class KinesisBacklog(Backlog):
    """Changes that wait until they are released, and then arrive all at once."""

    def __init__(self, stream: KinesisStream) -> None:
        super().__init__()
        self._stream = stream
        self.waiting: list[list[tuple[int, bytes]]] = [[] for _ in stream.open_shards()]

    def release(self) -> None:
        """Lets them arrive."""
        at = self._stream.clock.now()
        time = b"%.3f" % at
        for shard, waiting in zip(self._stream.open_shards(), self.waiting, strict=True):
            shard.records = [
                Arrived(number, at, b" " * (len(body) * 3 // 4), body.replace(b'"TIME"', time))
                for number, body in waiting
            ]


def fill(table: PrerenderedTable, stream: KinesisStream, events: int, seed: int = 1) -> Backlog:
    """Lets so many changes of random items wait."""
    backlog = KinesisBacklog(stream)
    dice = random.Random(seed)
    templates = [_template(table, place) for place in range(table.per_page)]
    # One in each millisecond, so that none is tied with another: this table has no look-ups.
    first = int((stream.clock.now() + LATER) * 1000)
    for event in range(events):
        item = dice.randrange(table.items)
        page, place = divmod(item, table.per_page)
        number = stream.numbers.take()
        backlog.revisions[item] = REVISIONS + event
        data = templates[place] % (1000 * (first + event) + 1, page, page, REVISIONS + event, page)
        body = b'{"Data":"%s","PartitionKey":"k","SequenceNumber":"%d",' % (
            b64encode(data),
            number,
        )
        body += b'"ApproximateArrivalTimestamp":"TIME"}'
        backlog.waiting[item % len(backlog.waiting)].append((number, body))
    return backlog


def _template(table: PrerenderedTable, place: int) -> bytes:
    """A record with places for its time, its item's page twice, revision and page."""
    key = {"id": {"S": f"PAGE-{place:04d}"}}
    item: dict[str, Any] = {**key, **table.shape(place)}
    record = {
        "awsRegion": table.region,
        "eventID": "0" * 32,
        "eventName": "MODIFY",
        "userIdentity": None,
        "recordFormat": "application/json",
        "tableName": table.name,
        "dynamodb": {
            "ApproximateCreationDateTime": "TIME",
            "Keys": key,
            "NewImage": {**item, "revision": {"N": "REVISION"}},
            "OldImage": item,
            "SizeBytes": 700,
            "ApproximateCreationDateTimePrecision": "MICROSECOND",
        },
        "eventSource": "aws:dynamodb",
    }
    text = rendered(record).replace(b"%", b"%%")
    for mark, place_for in ((b'"TIME"', b"%d"), (b"PAGE", b"%08d"), (b"REVISION", b"%d")):
        text = text.replace(mark, place_for)
    return text
