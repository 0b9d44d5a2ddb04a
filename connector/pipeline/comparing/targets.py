"""Which of several targets an item belongs to, and what a comparison found in each.

An item's place is found by decoding it whole, and not on the path that rows take. The digests of a
table with routes begin with the place, so that a row in another target than its item's differs.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
import pyarrow as pa

from connector.core.routes.routes import SKIP, Router, Routes
from connector.core.rows import TARGET
from connector.items import parts
from connector.items.records import UNDECODABLE

DIGEST_BYTES = 16


@dataclass(frozen=True)
class InTarget:
    """How many keys of one target are equal, and how many differ in each way."""

    matching: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0


@dataclass(frozen=True)
class Places:
    """The places of items and rows; a table without routes has one, whose mark is empty."""

    routes: Routes

    @cached_property
    def _router(self) -> Router:
        return Router(self.routes)

    def of_item(self, item: bytes) -> bytes | None:
        """The mark of an item's place; None if routes leave it out."""
        if not self.routes:
            return b""
        place = self._router.place(self._attributes(item))
        return None if place == SKIP else _mark(place)

    def _attributes(self, item: bytes) -> Mapping[str, Any]:
        try:
            found = msgspec.json.decode(item)
            return found if isinstance(found, dict) else {}
        except UNDECODABLE:
            return {name: _value(raw) for name, raw in parts.found(item).items()}

    def of_rows(self, batch: pa.RecordBatch) -> bytes:
        """The mark of the place of some rows."""
        if not self.routes:
            return b""
        name = (batch.schema.metadata or {})[TARGET].decode()
        return _mark(self.routes.targets.index(name))

    def counted(
        self,
        matching: Mapping[bytes, int],
        pairs: Iterable[tuple[bytes | None, bytes | None]],
    ) -> dict[str, InTarget]:
        """What was found in each target: equal keys by mark, and the digests of those that differ.

        A row in another target than its item's is missing in one and extra in the other.
        """
        found: dict[bytes, Counter[str]] = {}
        for there, here in pairs:
            item, row = mark_of(there), mark_of(here)
            if item == row:
                found.setdefault(item, Counter())["different"] += 1
                continue
            if item:
                found.setdefault(item, Counter())[
                    "missing" if row or not here else "different"
                ] += 1
            if row:
                found.setdefault(row, Counter())["extra"] += 1
        marks = {name: _mark(place) for place, name in enumerate(self.routes.targets)}
        return {
            name: InTarget(matching.get(mark, 0), **found.get(mark, Counter()))
            for name, mark in marks.items()
        }


def mark_of(digest: bytes | None) -> bytes:
    """The mark of the place that a digest begins with; empty if it has none."""
    return (digest or b"")[:-DIGEST_BYTES]


def by_mark(digests: Iterable[bytes | None]) -> Counter[bytes]:
    """How many digests there are of each place."""
    return Counter(map(mark_of, digests))


def _mark(place: int) -> bytes:
    return place.to_bytes(2, "big")


def _value(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except UNDECODABLE:
        return raw
