"""Drawn rules on drawn items: rows are what the oracle says, whichever way the items came."""

import json
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.keys import KeyAttribute
from connector.core.rules.hash_key import HashKey
from connector.core.rules.rules import Rule, Rules
from connector.core.spec import TableSpec
from connector.destinations.duckdb.file import DuckDBDestination
from connector.items import canonical
from connector.items.encoder import Encoder
from connector.items.ruled.ruling import Ruling
from tests.destinations.story import Story, put
from tests.properties.oracle import canonical_rows
from tests.properties.strategies import profile, quick_folder
from tests.properties.test_exact import LAYOUTS, Told

from .drawn import Item, entries, items
from .oracle import KEY, Oracle

EVERY_RULE = {
    "id": Rule(hash=True),
    "a": Rule(hash=True),
    "b": Rule(mask="****"),
    r"dot\.ted": Rule(exclude=True),
    "m.x": Rule(hash=True),
    "l[].y": Rule(exclude=True),
    "other": Rule(path="m.y"),
}
EVERY_TYPE: list[Item] = [
    {"id": {"S": str(index)}, "a": value, "b": value, "dot.ted": value}
    | {"m": {"M": {"x": value, "y": value}}, "l": {"L": [{"M": {"y": value}}, value]}}
    | ({"other": value} if index % 2 else {})
    for index, value in enumerate(
        [
            *({"S": "s"}, {"S": ""}, {"N": "-0"}, {"N": "1.50"}, {"N": "1E2"}, {"B": ""}),
            *({"B": "AA=="}, {"BOOL": True}, {"NULL": True}, {"M": {"x": {"N": "1.0"}}}),
            *({"L": []}, {"SS": ["b", "a"]}, {"NS": ["2", "1.0"]}, {"BS": ["AQ==", "AA=="]}),
        ]
    )
]


class Ruled(Told):
    """A story in a fresh file, of a table with rules."""

    def __init__(self, folder: str, rules: Rules, tag: str, layout: str) -> None:
        columns, packed = LAYOUTS[layout]
        keys = (KeyAttribute("id", tag),)
        self.file = Path(folder) / "warehouse.duckdb"
        self.ruling = Ruling(rules, keys, HashKey(KEY))
        self.keys = rules.row_keys(keys)
        spec = TableSpec("packed" if packed else "columns", columns, rules=rules)
        self.story = Story(DuckDBDestination(self.file), keys, spec=spec)
        self.story.encoder = Encoder(keys, columns, packed, ruling=self.ruling)
        self.story.plan()

    def rows(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        """What the table holds, read through SQL."""
        return canonical_rows(self.file, "orders", ["id"])


@pytest.mark.parametrize("layout", LAYOUTS)
@profile(6, times=40)
@given(
    chosen=entries(),
    unlisted=st.sampled_from(("keep", "exclude")),
    tag=st.sampled_from("SNB"),
    streamed=st.booleans(),
    data=st.data(),
)
def test_rows_are_what_the_rules_say(
    layout: str,
    chosen: dict[str, Rule],
    unlisted: Literal["keep", "exclude"],
    tag: str,
    streamed: bool,
    data: st.DataObject,
) -> None:
    drawn = data.draw(st.lists(items(tag), min_size=1, max_size=6))
    with quick_folder() as folder:
        assert_rows(folder, chosen, unlisted, tag, layout, drawn, streamed)


@pytest.mark.by_turns("unlisted")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("unlisted", ["keep", "exclude"])
def test_every_type_at_every_kind_of_place(
    layout: str, streamed: bool, unlisted: Literal["keep", "exclude"], tmp_path: Path
) -> None:
    assert_rows(str(tmp_path), EVERY_RULE, unlisted, "S", layout, EVERY_TYPE, streamed)


def assert_rows(
    folder: str,
    chosen: dict[str, Rule],
    unlisted: Literal["keep", "exclude"],
    tag: str,
    layout: str,
    drawn: list[Item],
    streamed: bool,
) -> None:
    oracle = Oracle(chosen, ("id",), unlisted)
    told = Ruled(folder, Rules.of(chosen, unlisted), tag, layout)
    wanted = {}
    newest = {}
    for item in drawn:
        row = oracle.canonical(item)
        wanted[(row["id"],)] = row
        newest[json.dumps(row["id"])] = item
    if streamed:
        told.story.tail(*map(put, drawn))
    else:
        told.story.load(told.page(list(newest.values())))
    assert told.rows() == wanted
    # What verify reads of both sides.
    here = {
        pair
        for batch in told.story.destination.rows("orders")
        for pair in canonical.of_rows(told.keys, batch)
    }
    source = (msgspec.json.encode(item) for item in newest.values())
    keys = told.story.keys
    assert here == {canonical.of_item(keys, raw, told.ruling) for raw in source}
