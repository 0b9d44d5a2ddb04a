"""Scan: one page of one segment."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ServiceError, invalid
from .items import HASHES, Item, Position, rendered
from .rows import Stored
from .table import Table

PAGE_BYTES = 1024 * 1024
MAX_SEGMENTS = 1_000_000
UNSERVED = (
    "FilterExpression",
    "ProjectionExpression",
    "IndexName",
    "ScanFilter",
    "AttributesToGet",
)


@dataclass(frozen=True)
class Segment:
    """One segment out of so many: a range of hashes."""

    number: int = 0
    total: int = 1

    @property
    def low(self) -> int:
        """The first hash that belongs to it."""
        return -(-self.number * HASHES // self.total)

    @property
    def high(self) -> int:
        """The first hash that does not."""
        return -(-(self.number + 1) * HASHES // self.total)

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> "Segment":
        """The segment a request asks for; a plain Scan is segment 0 of 1."""
        number, total = parameters.get("Segment"), parameters.get("TotalSegments")
        if number is None and total is None:
            return cls()
        if total is None:
            raise invalid("If segment is specified, total segment must also be specified")
        if number is None:
            raise invalid("If total segment is specified, segment must also be specified")
        if not 1 <= total <= MAX_SEGMENTS or not 0 <= number < total:
            raise invalid(
                f"1 validation error detected: Value '{number}' at 'segment' failed to satisfy "
                f"constraint: Member must have value less than or equal to {total - 1}"
            )
        return cls(number, total)


def scan(table: Table, parameters: Mapping[str, Any]) -> bytes:
    """The body of one Scan page."""
    for name in UNSERVED:
        if name in parameters:
            raise invalid(f"The rig's Scan does not serve {name}")
    segment = Segment.of(parameters)
    start = parameters.get("ExclusiveStartKey")
    after = None if start is None else cursor(table, segment, start)
    limit = parameters.get("Limit", HASHES)
    if limit < 1:
        raise invalid("Limit must be greater than or equal to 1")

    rows = table.read(consistent=bool(parameters.get("ConsistentRead")))
    first, end = rows.between(segment.low, segment.high, after)
    page: list[Stored] = []
    size = 0
    for stored in rows.slice(first, min(end, first + limit)):
        if page and size + stored.size > PAGE_BYTES:
            break
        page.append(stored)
        size += stored.size

    # A page that ends at Limit carries a cursor even when nothing follows, as the service's do.
    more = len(page) == limit or first + len(page) < end
    last = table.schema.key_of(page[-1].item) if page and more else None
    bodies = [] if parameters.get("Select") == "COUNT" else [stored.body for stored in page]
    return body(bodies, len(page), last, capacity(table, size, parameters), parameters)


def detour(table: Table, parameters: Mapping[str, Any]) -> bytes:
    """The body of an empty page whose cursor leads on from where this page was to start.

    The cursor is a key that no item has: the service's empty pages end at such places too.
    """
    start = parameters.get("ExclusiveStartKey")
    after = None if start is None else cursor(table, Segment.of(parameters), start)
    text = f"-{len(table.detours)}.5"
    values = {"S": f"empty page {text}", "N": text, "B": base64.b64encode(text.encode()).decode()}
    key = {each.name: {each.type: values[each.type]} for each in table.schema.keys}
    table.detours[table.schema.position(key)] = after
    return body([], 0, key, capacity(table, 0, parameters), parameters)


def cursor(table: Table, segment: Segment, start: Item) -> Position | None:
    """The position a page starts after; the item there may be gone, or the start be meant."""
    if set(start) != {key.name for key in table.schema.keys}:
        raise invalid("The provided starting key is invalid")
    try:
        position = table.schema.position(start)
    except ServiceError:
        raise invalid("The provided starting key is invalid") from None
    if position in table.detours:
        return table.detours[position]
    if not segment.low <= position[0] < segment.high:
        raise invalid(
            "The provided starting key is invalid: Exclusive start key must lie within the segment"
        )
    return position


def capacity(table: Table, size: int, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a page cost: half a unit for 4 KB, or a whole one for a consistent read."""
    if parameters.get("ReturnConsumedCapacity", "NONE") == "NONE":
        return None
    rate = 1.0 if parameters.get("ConsistentRead") else 0.5
    return {"TableName": table.name, "CapacityUnits": max(1, -(-size // 4096)) * rate}


def body(
    bodies: list[bytes],
    count: int,
    last: Item | None,
    consumed: dict[str, Any] | None,
    parameters: Mapping[str, Any],
) -> bytes:
    """Puts a page together from items that are rendered already."""
    parts = []
    if parameters.get("Select") != "COUNT":
        parts += [b'"Items":[', b",".join(bodies), b"],"]
    parts.append(b'"Count":%d,"ScannedCount":%d' % (count, count))
    if last is not None:
        parts += [b',"LastEvaluatedKey":', rendered(last)]
    if consumed is not None:
        parts += [b',"ConsumedCapacity":', rendered(consumed)]
    return b"".join([b"{", *parts, b"}"])
