"""Shards, their records, and the numbers that order them."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from .items import HASHES, rendered


@dataclass(frozen=True)
class Record:
    """One stream record, rendered once and for all."""

    number: int
    at: float
    content: Mapping[str, Any]
    body: bytes

    @classmethod
    def of(cls, number: int, at: float, content: Mapping[str, Any]) -> "Record":
        """Renders a record for the wire."""
        return cls(number, at, content, rendered(content))


class SequenceNumbers:
    """Numbers that only grow; where they begin decides how many digits they have."""

    def __init__(self, first: int = 10**20, step: int = 1) -> None:
        self._next = first
        self._step = step

    def take(self) -> int:
        """The next number."""
        number, self._next = self._next, self._next + self._step
        return number

    def last(self) -> int:
        """The newest number that was given out."""
        return self._next - self._step

    def jump_to(self, number: int) -> None:
        """Goes on from here: 10**21 - 2 makes the numbers cross from 21 digits to 22."""
        if number < self._next:
            raise ValueError(f"sequence numbers never go back: {number} < {self._next}")
        self._next = number


@dataclass(frozen=True)
class HashRange:
    """The partition keys that belong to a shard, as a range of their hashes."""

    low: int = 0
    high: int = HASHES

    def __contains__(self, hashed: int) -> bool:
        return self.low <= hashed < self.high

    def parts(self, count: int) -> list["HashRange"]:
        """The range cut into this many neighbours."""
        width = self.high - self.low
        borders = [self.low + width * part // count for part in range(count + 1)]
        return [HashRange(low, high) for low, high in pairwise(borders)]


@dataclass
class Shard:
    """One shard. A test may set the last group of fields to make a listing lie."""

    id: str
    hashes: HashRange
    starting: int
    created_at: float
    parent: str | None = None
    ending: int | None = None
    closed_at: float | None = None
    records: list[Record] = field(default_factory=list, repr=False)
    trimmed_through: int = 0

    listed: bool = True
    listed_at: float = 0.0
    unlisted_listings: int = 0
    listed_open: bool = False
    resolves: bool = True

    @property
    def is_open(self) -> bool:
        """Whether new records can still arrive."""
        return self.ending is None

    def trim(self, *, through: int | None = None, horizon: float | None = None) -> None:
        """Drops records up to a number, or up to a time."""
        kept = 0
        for record in self.records:
            if through is not None and record.number > through:
                break
            if horizon is not None and record.at > horizon:
                break
            kept += 1
        if kept:
            self.trimmed_through = self.records[kept - 1].number
            del self.records[:kept]

    def page(self, start: int, limit: int, size: int) -> list[Record]:
        """Records from a number on, cut at a count and at a size in bytes."""
        first = bisect_left(self.records, start, key=lambda record: record.number)
        page: list[Record] = []
        for record in self.records[first : first + limit]:
            size -= len(record.body)
            if size < 0 and page:
                break
            page.append(record)
        return page

    def has_after(self, number: int) -> bool:
        """Whether a record follows this number."""
        return bool(self.records) and self.records[-1].number > number

    def describe(self) -> dict[str, Any]:
        """The shard as DescribeStream lists it."""
        numbers = {"StartingSequenceNumber": str(self.starting)}
        if self.ending is not None and not self.listed_open:
            numbers["EndingSequenceNumber"] = str(self.ending)
        described: dict[str, Any] = {"ShardId": self.id, "SequenceNumberRange": numbers}
        if self.parent is not None:
            described["ParentShardId"] = self.parent
        return described
