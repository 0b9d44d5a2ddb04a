"""Decoding alone, on one core: bytes of a page to Arrow, against botocore's own way."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import Any

import pyarrow as pa
from boto3.dynamodb.types import TypeDeserializer
from botocore.parsers import create_parser
from botocore.session import Session

from benchmarks.snapshots import summed
from connector.core.keys import KeyAttribute
from connector.core.rows import ITEM
from connector.items.encoder import Encoder
from tests.rigs.scripted import PrerenderedTable

PAGES = 4
"""Read one after the other, as a scan does: only the first one waits for memory, and the median is
that of the others."""


@dataclass(frozen=True)
class Decoding:
    """Items per second of processor time of both ways, and the size of an item in bytes."""

    shape: str
    item_bytes: float
    ours: float
    botocore: float

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.ours / self.botocore


def decoding(shape: str, make: Callable[[int], dict[str, Any]], rounds: int) -> Decoding:
    """Measures both ways in turns, so that both see the same machine."""
    table = PrerenderedTable("load", 1_000_000, make)
    body = table.page({"Segment": 0, "TotalSegments": 1}).body
    encoder = Encoder((KeyAttribute("id", "S"),))
    operation = Session().get_service_model("dynamodb").operation_model("Scan")
    parser = create_parser("json")
    deserialize = TypeDeserializer().deserialize

    def parsed() -> list[dict[str, Any]]:
        answer = {"headers": {}, "status_code": 200, "body": body}
        items: list[dict[str, Any]] = parser.parse(answer, operation.output_shape)["Items"]
        return items

    def by_botocore() -> None:
        for item in parsed():
            _ = {name: deserialize(value) for name, value in item.items()}

    encoder.encode_page(body)
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        ours += _seconds(lambda: encoder.encode_page(body))
        theirs += _seconds(by_botocore)
    items = table.per_page
    _check(encoder.encode_page(body)[0].rows, parsed(), summed(table))
    return Decoding(shape, len(body) / table.per_page, items / median(ours), items / median(theirs))


def _check(rows: pa.Table, items: list[dict[str, Any]], number: str) -> None:
    """Compares the count, the keys and a sum of what both ways made of a page."""
    columns = {name: rows.column(ITEM + name).to_pylist() for name in ("id", number)}
    found = (len(rows), set(columns["id"]), sum(map(Decimal, columns[number])))
    keys, numbers = {item["id"]["S"] for item in items}, [item[number]["N"] for item in items]
    if found != (len(items), keys, sum(map(Decimal, numbers))):
        raise AssertionError(f"a page of {len(items)} items was decoded wrongly")


def _seconds(work: Callable[[], object]) -> list[float]:
    """Of processor time, for each page."""
    gc.collect()
    gc.disable()
    found: list[float] = []
    try:
        for _ in range(PAGES):
            started = time.thread_time()
            work()
            found.append(time.thread_time() - started)
    finally:
        gc.enable()
    return found
