"""Decoding alone, on one core: bytes of a page to Arrow, against botocore's own way."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from boto3.dynamodb.types import TypeDeserializer
from botocore.parsers import create_parser
from botocore.session import Session

from connector.core.encoder import Encoder
from connector.core.keys import KeyAttribute
from tests.rigs.scripted import PrerenderedTable

PAGES = 4
"""Read one after the other, as a scan does: the first one pays for memory that the rest has."""


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

    def by_botocore() -> None:
        answer = {"headers": {}, "status_code": 200, "body": body}
        page = parser.parse(answer, operation.output_shape)
        for item in page["Items"]:
            _ = {name: deserialize(value) for name, value in item.items()}

    encoder.encode_page(body)
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        ours.append(_seconds(lambda: encoder.encode_page(body)))
        theirs.append(_seconds(by_botocore))
    items = table.per_page * PAGES
    return Decoding(shape, len(body) / table.per_page, items / median(ours), items / median(theirs))


def _seconds(work: Callable[[], object]) -> float:
    gc.collect()
    gc.disable()
    try:
        started = time.thread_time()
        for _ in range(PAGES):
            work()
        return time.thread_time() - started
    finally:
        gc.enable()
