"""Tables for load tests: pages of items that are rendered before anyone asks.

One page of items is rendered once. Another page differs only in the eight digits that begin its
keys, so serving it is one replacement and one checksum in C; a page that was kept costs nothing.
"""

import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any

from .errors import invalid
from .items import Item, Key, KeySchema, rendered, size_of
from .responses import Response
from .scan import PAGE_BYTES, Segment
from .stream import Stream

MARK = b"@@@@@@@@"
Shape = Callable[[int], dict[str, Any]]


def flat(number: int) -> dict[str, Any]:
    """About 330 bytes of JSON in nine attributes: strings, integers, decimals, a boolean."""
    return {
        "customer": {"S": f"customer-{number * 7919 % 100_000:06d}"},
        "status": {"S": ("open", "paid", "sent", "closed")[number % 4]},
        "note": {"S": f"note {number} " + "abcdefghij" * 9},
        "quantity": {"N": str(number % 97)},
        "created": {"N": str(1_700_000_000 + number)},
        "price": {"N": f"{number % 10_000}.{number % 9 + 1}{number % 7 + 1}"},
        "weight": {"N": f"{number % 50}.{number % 8 + 1}25"},
        "gift": {"BOOL": number % 3 == 0},
    }


def nested(number: int) -> dict[str, Any]:
    """About 590 bytes of JSON: the flat item with a map, a list and a set."""
    return {
        **flat(number),
        "address": {
            "M": {
                "street": {"S": f"{number % 300} Station Road"},
                "city": {"S": "Seattle"},
                "country": {"S": "United States of America"},
                "geo": {"M": {"lat": {"N": "47.6062"}, "lon": {"N": f"-122.{number % 900}7"}}},
            }
        },
        "lines": {"L": [{"S": f"sku-{number % 1000:04d}"}, {"N": str(number % 12)}]},
        "tags": {"SS": ["blue", "new", "sale"]},
    }


def wide(number: int) -> dict[str, Any]:
    """200 attributes, with the key."""
    return {f"column_{place:03d}": {"N": str(number + place)} for place in range(199)}


def tiny(number: int) -> dict[str, Any]:
    """About 60 bytes of JSON."""
    return {"n": {"N": str(1_000_000 + number)}, "s": {"S": "x"}}


@dataclass
class PrerenderedTable:
    """A table of any length that is never in memory: `items` items of one shape.

    Keys are `id` = S "pppppppp-iiii", page and place in the page, each exactly once. The pages are
    the same however many segments a client asks for.
    """

    name: str
    items: int
    shape: Shape = flat
    page_bytes: int = PAGE_BYTES
    kept_pages: int = 256
    region: str = "us-west-2"
    account: str = "000000000000"
    schema: KeySchema = field(default_factory=lambda: KeySchema(Key("id")))
    changes: Stream | None = None

    def __post_init__(self) -> None:
        self._bodies: list[bytes] = []
        self._rest: list[dict[str, Any]] = []
        self._size = 0
        self._kept: dict[int, Response] = {}
        self._lock = threading.Lock()
        self._detours = count()
        size = 0
        for place in range(self.items):
            item = self.shape(place)
            size += size_of({"id": {"S": "00000000-0000"}, **item})
            if size > self.page_bytes and self._rest:
                break
            self._size = size
            self._rest.append(item)
            self._bodies.append(rendered({"id": {"S": f"{MARK.decode()}-{place:04d}"}, **item}))

    @property
    def per_page(self) -> int:
        """How many items a full page has."""
        return max(1, len(self._rest))

    @property
    def pages(self) -> int:
        """How many pages the table has."""
        return -(-self.items // self.per_page)

    def page(self, parameters: Mapping[str, Any]) -> Response:
        """One Scan page; Limit is not served, since a page is rendered as a whole."""
        segment = Segment.of(parameters)
        first = segment.number * self.pages // segment.total
        end = (segment.number + 1) * self.pages // segment.total
        number = first
        if start := parameters.get("ExclusiveStartKey"):
            number = int(start["id"]["S"][:8]) + 1
            if not first <= number < end:
                raise invalid("Exclusive start key must lie within the segment")
        if number >= end:
            return Response.of({"Items": [], "Count": 0, "ScannedCount": 0})
        return self._page(number, last=number + 1 == end)

    def empty(self, parameters: Mapping[str, Any]) -> Response:
        """A page without items whose cursor leads to the page that was asked for."""
        segment = Segment.of(parameters)
        start = parameters.get("ExclusiveStartKey", {}).get("id", {}).get("S")
        number = int(start[:8]) if start else segment.number * self.pages // segment.total - 1
        key = {"id": {"S": f"{number:08d}-empty-{next(self._detours)}"}}
        return Response.of({"Items": [], "Count": 0, "ScannedCount": 0, "LastEvaluatedKey": key})

    def render_all(self) -> None:
        """Renders and keeps as many pages as are kept, before the clock of a load test starts."""
        for number in range(min(self.pages, self.kept_pages)):
            self._page(number, last=False)

    def every_item(self) -> Iterator[Item]:
        """Every item in wire form, one after the other, to compare with what arrived."""
        for page in range(self.pages):
            for place in range(self._length(page)):
                yield {"id": {"S": f"{page:08d}-{place:04d}"}, **self._rest[place]}

    def total(self, name: str) -> Decimal:
        """The sum of a number attribute over the whole table, in time of one page."""
        values = [Decimal(item[name]["N"]) for item in self._rest]
        full, rest = divmod(self.items, self.per_page)
        return full * sum(values, Decimal(0)) + sum(values[:rest], Decimal(0))

    @property
    def streams(self) -> list[Stream]:
        """The stream, once the table is served."""
        return [self.changes] if self.changes else []

    def describe(self) -> dict[str, Any]:
        """The Table of DescribeTable."""
        described: dict[str, Any] = {
            "TableName": self.name,
            "TableStatus": "ACTIVE",
            "TableArn": f"arn:aws:dynamodb:{self.region}:{self.account}:table/{self.name}",
            "TableId": "00000000-0000-4000-8000-000000000000",
            "CreationDateTime": 0,
            "KeySchema": self.schema.describe(),
            "AttributeDefinitions": self.schema.attributes(),
            "ItemCount": self.items,
            "TableSizeBytes": self._size * self.items // self.per_page,
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            "ProvisionedThroughput": {
                "NumberOfDecreasesToday": 0,
                "ReadCapacityUnits": 0,
                "WriteCapacityUnits": 0,
            },
        }
        if self.changes:
            described["LatestStreamArn"] = self.changes.arn
            described["LatestStreamLabel"] = self.changes.label
            described["StreamSpecification"] = {
                "StreamEnabled": True,
                "StreamViewType": self.changes.view,
            }
        return described

    def _length(self, page: int) -> int:
        return min(self.per_page, self.items - page * self.per_page)

    def _page(self, page: int, *, last: bool) -> Response:
        # The last page of a segment differs in having no cursor, so it is kept under another key.
        key = -1 - page if last else page
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        length = self._length(page)
        digits = b"%08d" % page
        units = max(1, -(-self._size // 4096)) / 2
        parts = [
            b'{"Items":[',
            b",".join(self._bodies[:length]).replace(MARK, digits),
            b'],"Count":%d,"ScannedCount":%d' % (length, length),
            b',"ConsumedCapacity":',
            rendered({"TableName": self.name, "CapacityUnits": units}),
        ]
        if not last:
            cursor = {"id": {"S": f"{page:08d}-{length - 1:04d}"}}
            parts += [b',"LastEvaluatedKey":', rendered(cursor)]
        body = b"".join([*parts, b"}"])
        response = Response(body, checksum=zlib.crc32(body))
        with self._lock:
            if len(self._kept) < self.kept_pages:
                self._kept[key] = response
        return response
