"""Maps and lists, whichever way they are decoded, become the same text."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.core.keys import KeyAttribute
from connector.core.texts import json_text
from connector.items import shapes, values
from connector.items.encoder import Encoded, Encoder
from tests.properties import strategies
from tests.rigs.combinations import amount

KEYS = (KeyAttribute("id", "S"),)
Value = dict[str, Any]


def page(found: list[Value | None]) -> bytes:
    """A Scan page whose items have these values under `v`."""
    items = [
        {"id": {"S": str(number)}} | ({"v": value} if value is not None else {})
        for number, value in enumerate(found)
    ]
    return json.dumps({"Items": items, "Count": len(items), "ScannedCount": len(items)}).encode()


def encoded(encoder: Encoder, *found: Value | None) -> Encoded:
    """One page, encoded."""
    return encoder.encode_page(page(list(found)))[0]


def texts(rows: Encoded) -> list[str | None]:
    """The texts of the column."""
    if "item.v" not in rows.rows.column_names:
        return [None] * len(rows.rows)
    return rows.rows.column("item.v").cast("string").to_pylist()


def expected(value: Value | None) -> str | None:
    """What the value by value way makes of it."""
    return None if value is None else json_text(values.plain(value))


maps = st.dictionaries(st.sampled_from("abc") | strategies.names, strategies.values, max_size=4)
lists = st.lists(strategies.values, max_size=4)
inside = st.one_of(
    st.none(), maps.map(lambda content: {"M": content}), lists.map(lambda content: {"L": content})
)


@settings(
    max_examples=amount(100, by_turns=40),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(st.lists(inside, max_size=4), min_size=2, max_size=4))
def test_pages_of_any_maps_and_lists_have_the_text_of_each_value(pages: list[list[Any]]) -> None:
    encoder = Encoder(KEYS)
    # Again from the first page: then everything is known.
    for found in [*pages, *pages]:
        rows = encoded(encoder, *found)
        assert not rows.bad
        assert texts(rows) == [expected(value) for value in found]


def known(value: Value) -> Encoder:
    """An encoder that has seen the value."""
    encoder = Encoder(KEYS)
    assert texts(encoded(encoder, value)) == [expected(value)]
    return encoder


def test_members_that_come_and_go_are_placed_rightly() -> None:
    found = [{"M": {"a": {"N": "1"}, "b": {"S": "x"}}}, None, {"M": {}}, {"M": {"b": {"S": "y"}}}]
    encoder = known({"M": {"b": {"S": ""}, "a": {"N": "2"}}})
    assert texts(encoded(encoder, *found)) == ['{"a":1,"b":"x"}', None, "{}", '{"b":"y"}']


def test_a_null_member_stays_apart_from_an_absent_one() -> None:
    found = [{"M": {"a": {"NULL": True}}}, {"M": {}}, {"M": {"a": {"S": "x"}}}]
    encoder = known({"M": {"a": {"NULL": True}}})
    assert texts(encoded(encoder, *found)) == ['{"a":null}', "{}", '{"a":"x"}']


def test_a_map_keyed_by_data_is_exact_and_its_names_are_not_learnt() -> None:
    encoder = known({"M": {"k": {"N": "1"}}})
    many = [{"M": {f"key {n}": {"N": str(n)}}} for n in range(shapes.MAX_MEMBERS + 1)]
    for _ in range(2):
        assert texts(encoded(encoder, *many)) == [expected(value) for value in many]


def test_more_places_than_are_learnt_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes.PlaceLimit, "left", 3)
    value = {"M": {f"m{n}": {"M": {"x": {"L": [{"N": str(n)}]}}} for n in range(9)}}
    encoder = Encoder(KEYS)
    for _ in range(2):
        assert texts(encoded(encoder, value)) == [expected(value)]


GOOD = {"M": {"a": {"S": "x"}, "b": {"L": [{"N": "1"}, {"S": "y"}]}, "n": {"NULL": True}}}


@pytest.mark.parametrize(
    "bad",
    [
        {"S": "x", "N": "1"},
        {},
        {"S": None},
        {"N": "x"},
        {"N": 1},
        {"B": "%"},
        {"NULL": False},
        {"X": "x"},
        {"SS": []},
        {"L": {}},
        {"M": []},
        None,
        "x",
    ],
    ids=str,
)
@pytest.mark.parametrize("place", ["member", "element", "only"])
def test_an_illegal_value_inside_is_found_and_its_neighbours_are_kept(bad: Any, place: str) -> None:
    wrong = {
        "member": {"M": {**GOOD["M"], "a": bad}},
        "element": {"M": {**GOOD["M"], "b": {"L": [{"N": "1"}, bad]}}},
        "only": {"L": [bad]},
    }[place]
    encoder = known(GOOD)
    rows = encoded(encoder, GOOD, wrong, GOOD)
    assert [each.index for each in rows.bad] == [1]
    assert texts(rows) == [expected(GOOD)] * 2


@settings(
    max_examples=amount(200, by_turns=80),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from("abcd"),
            st.sampled_from([{"S": "x"}, {"N": "1"}, {"M": {"a": {"S": ""}}}, {"N": "none"}]),
            max_size=2,
        ),
        min_size=15,
        max_size=30,
    )
)
def test_whatever_a_batch_has_learnt_before_a_bad_item_the_others_are_kept(
    found: list[Value],
) -> None:
    items = [{"id": {"S": str(number)}} | item for number, item in enumerate(found)]
    good = [each for each in items if {"N": "none"} not in each.values()]
    encoder = Encoder(KEYS)
    for _ in range(2):
        rows = encoder.encode([json.dumps(each).encode() for each in items])
        assert [items[each.index] for each in rows.bad] == [e for e in items if e not in good]
        assert rows.rows.num_rows == len(good)
        for name in "abcd":
            if f"item.{name}" in rows.rows.column_names:
                column = rows.rows.column(f"item.{name}")
                assert column.null_count == sum(name not in each for each in good)
