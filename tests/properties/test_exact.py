"""Any item → table → item is exact, whichever way it came in and however it is laid out."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.core.keys import KeyAttribute, KeySchema
from connector.core.rows import CHANGED_AT, with_service
from connector.core.spec import TableSpec
from connector.destinations.duckdb.file import DuckDBDestination
from connector.items import canonical
from connector.items.encoder import Encoder
from tests.destinations.story import EPOCH, Story, delete, put

from .oracle import canonical_item, canonical_rows
from .strategies import (
    NASTY_NAMES,
    NASTY_NUMBERS,
    NASTY_TEXTS,
    Item,
    items,
    key_schemas,
    profile,
    quick_folder,
)

LAYOUTS = {"columns": (500, False), "few columns": (3, False), "packed": (500, True)}
ID: KeySchema = (KeyAttribute("id", "S"),)

EVERY_TYPE: list[Item] = [
    {"id": {"S": "types"}, "S": {"S": ""}, "N": {"N": "-0"}, "B": {"B": ""}, "BOOL": {"BOOL": True}}
    | {"NULL": {"NULL": True}, "M": {"M": {}}, "L": {"L": []}, "SS": {"SS": [""]}}
    | {"NS": {"NS": ["1E-130", "2"]}, "BS": {"BS": ["", "AA=="]}},
    {"id": {"S": "names"}} | {name: {"S": name[:9]} for name in NASTY_NAMES},
    *({"id": {"S": f"n{i}"}, "n": {"N": text}} for i, text in enumerate(NASTY_NUMBERS)),
    *({"id": {"S": f"s{i}"}, "s": {"S": text}} for i, text in enumerate(NASTY_TEXTS)),
    *({"id": {"S": f"m{i}"}, "m": each} for i, each in enumerate(({"S": "1"}, {"N": "1"}))),
]

EVERY_NAME: list[Item] = [
    {"id": {"S": str(n)}, **{name: value for name in NASTY_NAMES if not name.startswith("aws:")}}
    for n, value in enumerate(({"BOOL": True}, {"S": "x"}, {"M": {"c0": {"S": "y"}}}))
]


def spec_of(layout: str) -> TableSpec:
    """What a story of a layout is planned with."""
    columns, packed = LAYOUTS[layout]
    return TableSpec("packed" if packed else "columns", columns)


class Told:
    """A story in a fresh DuckDB file."""

    def __init__(self, folder: str, keys: KeySchema, layout: str) -> None:
        columns, packed = LAYOUTS[layout]
        self.file = Path(folder) / "warehouse.duckdb"
        self.keys = keys
        self.story = Story(DuckDBDestination(self.file), keys, spec=spec_of(layout))
        self.story.encoder = Encoder(keys, columns, packed)
        self.story.plan()

    def page(self, scanned: Sequence[Item]) -> pa.Table:
        """Scanned items, decoded from the body of a Scan answer."""
        count = len(scanned)
        body = {"Items": scanned, "Count": count, "ScannedCount": count}
        encoded, token = self.story.encoder.encode_page(json.dumps(body).encode())
        assert not encoded.bad
        assert token is None
        return with_service(encoded.rows, pa.array([EPOCH] * count, CHANGED_AT.type))

    def key(self, item: Item) -> tuple[Any, ...]:
        """An item's key as the oracle sees it."""
        known = canonical_item(item)
        return tuple(known[part.name] for part in self.keys)

    def rows(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        """What the table holds, read through SQL."""
        return canonical_rows(self.file, "orders", [part.name for part in self.keys])

    def assert_holds(self, expected: dict[tuple[Any, ...], Item]) -> None:
        """The table has exactly these items; verify's own digests agree."""
        wanted = {key: canonical_item(item) for key, item in expected.items()}
        assert self.rows() == wanted
        there = {
            canonical.of_item(self.keys, msgspec.json.encode(item)) for item in expected.values()
        }
        here = {
            pair
            for batch in self.story.destination.rows("orders")
            for pair in canonical.of_rows(self.keys, batch)
        }
        assert here == there


@st.composite
def tables(draw: st.DrawFn) -> tuple[KeySchema, list[Item]]:
    """A key schema, and items whose attributes often share their names."""
    schema = draw(key_schemas())
    reserved = {part.name for part in schema}
    pool = [n for n in draw(st.permutations(NASTY_NAMES)) if n not in reserved][:6]
    return schema, draw(st.lists(items(schema, tuple(pool)), min_size=1, max_size=7))


def by_key(told: Told, rows: Sequence[Item]) -> dict[tuple[Any, ...], Item]:
    """The newest item of each key."""
    return {told.key(item): item for item in rows}


@pytest.mark.parametrize("layout", LAYOUTS)
@profile(4, times=40)
@given(table=tables(), cut=st.integers(0, 7))
@example(table=(ID, EVERY_TYPE), cut=3)
def test_any_scanned_item_is_exact(
    layout: str, table: tuple[KeySchema, list[Item]], cut: int
) -> None:
    keys, found = table
    with quick_folder() as folder:
        told = Told(folder, keys, layout)
        expected = by_key(told, found)
        rows = list(expected.values())
        told.story.load(*(told.page(part) for part in (rows[:cut], rows[cut:]) if part))
        told.assert_holds(expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@profile(4, times=40)
@given(table=tables(), cuts=st.lists(st.integers(1, 6), max_size=3))
@example(table=(ID, EVERY_TYPE), cuts=[1, 5])
def test_any_streamed_item_is_exact(
    layout: str, table: tuple[KeySchema, list[Item]], cuts: list[int]
) -> None:
    keys, found = table
    with quick_folder() as folder:
        told = Told(folder, keys, layout)
        for first, last in zip([0, *sorted(cuts)], [*sorted(cuts), len(found)], strict=True):
            told.story.tail(*(put(item) for item in found[first:last]))
        told.assert_holds(by_key(told, found))


@profile(6, times=40)
@given(table=tables(), gone=st.integers(0, 6), late=st.booleans())
@example(table=(ID, EVERY_TYPE), gone=1, late=True)
@example(table=(ID, EVERY_NAME), gone=0, late=True)
def test_a_scanned_row_never_undoes_what_the_stream_said(
    table: tuple[KeySchema, list[Item]], gone: int, late: bool
) -> None:
    keys, found = table
    with quick_folder() as folder:
        told = Told(folder, keys, "columns")
        scanned = by_key(told, found)
        old = [{**item, "older": {"BOOL": True}} for item in scanned.values()]
        deleted = list(scanned)[gone : gone + 2]
        told.story.tail(*(put(item) for item in scanned.values()))
        told.story.tail(*(delete(scanned.pop(key)) for key in deleted))
        told.story.load(told.page(old))
        told.assert_holds(scanned)
        if late and scanned:
            told.story.tail(*(delete(item) for item in scanned.values()))
            told.assert_holds({})
