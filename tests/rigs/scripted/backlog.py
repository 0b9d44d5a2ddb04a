"""A stream's backlog for load tests: changes of a prerendered table, rendered before anyone asks.

Every change is a put of one of the table's items with a `revision` of its own. All changes of an
item are in one shard, in order, as DynamoDB keeps them.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from .items import rendered
from .prerendered import PrerenderedTable
from .shards import Record, Shard

PAGE_RECORDS = 1000
REVISIONS = 10**8
TIME = "ApproximateCreationDateTime"


@dataclass
class Backlog:
    """Changes that wait in a table's stream until they are released."""

    released: bool = False
    dated: Callable[[], None] = lambda: None
    """Gives them the present time."""
    revisions: dict[int, int] = field(default_factory=dict, repr=False)
    """The last revision of each item that was changed, by its number."""

    def release(self) -> None:
        """Lets them come out of the stream, as changes that are made now."""
        self.dated()
        self.released = True

    @property
    def total(self) -> int:
        """The sum of `revision` over the table once everything has arrived."""
        return sum(self.revisions.values())


@dataclass
class _Waiting(Shard):
    """A shard whose pages are ready; it gives nothing before the backlog is released."""

    backlog: Backlog = field(default_factory=Backlog)
    pages: list[Record] = field(default_factory=list, repr=False)

    def date(self, had: int, now: int) -> None:
        """Gives the changes of one second another one."""
        old, new = (f'"{TIME}":{at},'.encode() for at in (had, now))
        self.pages = [replace(page, body=page.body.replace(old, new)) for page in self.pages]

    def page(self, start: int, limit: int, size: int) -> list[Record]:
        """The whole page that holds this number, or nothing; a page is never cut."""
        if not self.backlog.released:
            return []
        return next(([page] for page in self.pages if page.number >= start), [])

    def has_after(self, number: int) -> bool:
        """Whether a page follows this number."""
        return bool(self.pages) and self.pages[-1].number > number

    def trim(self, *, through: int | None = None, horizon: float | None = None) -> None:
        """A load test is shorter than the stream's retention."""


def fill(table: PrerenderedTable, events: int, shards: int, seed: int = 1) -> Backlog:
    """Puts so many changes of random items into the open shards of the table's stream."""
    stream = table.changes
    if stream is None:
        raise ValueError("the table must be served before its stream is filled")
    backlog = Backlog()
    stream.shards.clear()
    stream.leaves.clear()
    stream.open_first(shards)
    waiting = []
    for old in stream.open_shards():
        shard = _Waiting(**{name: getattr(old, name) for name in Shard.__dataclass_fields__})
        shard.backlog = backlog
        stream.shards[shard.id] = shard
        stream.leaves[stream.leaves.index(old)] = shard
        waiting.append(shard)
    dice = random.Random(seed)
    bodies: list[list[bytes]] = [[] for _ in waiting]
    last = [0] * shards
    templates = [_template(table, place) for place in range(table.per_page)]
    at = int(stream.clock.now())
    for event in range(events):
        item = dice.randrange(table.items)
        page, place = divmod(item, table.per_page)
        target = item % shards
        number = last[target] = stream.numbers.take()
        backlog.revisions[item] = REVISIONS + event
        bodies[target].append(templates[place] % (at, page, page, REVISIONS + event, page, number))
        if len(bodies[target]) == PAGE_RECORDS:
            waiting[target].pages.append(_page(bodies[target], number))
            bodies[target] = []
    for shard, rest, number in zip(waiting, bodies, last, strict=True):
        if rest:
            shard.pages.append(_page(rest, number))

    def dated() -> None:
        for shard in waiting:
            shard.date(at, int(stream.clock.now()))

    backlog.dated = dated
    return backlog


def _page(bodies: list[bytes], number: int) -> Record:
    return Record(number, 0.0, {}, b",".join(bodies))


def _template(table: PrerenderedTable, place: int) -> bytes:
    """A record with places for its second, its item's page twice, revision, page and number."""
    key = {"id": {"S": f"PAGE-{place:04d}"}}
    item: dict[str, Any] = {**key, **table.shape(place)}
    record = {
        "eventID": "0" * 32,
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": table.region,
        "dynamodb": {
            TIME: "TIME",
            "Keys": key,
            "NewImage": {**item, "revision": {"N": "REVISION"}},
            "OldImage": item,
            "SequenceNumber": "NUMBER",
            "SizeBytes": 700,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }
    text = rendered(record).replace(b"%", b"%%")
    for mark, place_for in (
        (b'"TIME"', b"%d"),
        (b"PAGE", b"%08d"),
        (b"REVISION", b"%d"),
        (b"NUMBER", b"%d"),
    ):
        text = text.replace(mark, place_for)
    return text
