"""One attribute has one place: a column, or `_rest`, whatever the encoders have packed."""

from typing import Any

import msgspec
import pyarrow as pa
import pytest

from connector.core.rows import REST, rest_field
from connector.core.spec import TableSpec
from connector.errors import StateRefused
from connector.items.encoder import Encoder
from tests.rigs.combinations import turn

from .story import KEYS, Item, Story, put

pytestmark = pytest.mark.by_turns("make", always="fake")

VALUES: dict[str, Item] = {
    "text": {"S": "/w=="},
    "binary": {"B": "/w=="},
    "whole": {"N": "7"},
    "decimal": {"N": "-12.50"},
    "beyond": {"N": "1E-130"},
    "flag": {"BOOL": False},
    "map": {"M": {"b": {"N": "1.50"}, "a": {"L": [{"NULL": True}, {"B": "/w=="}]}}},
    "set": {"NS": ["10", "9"]},
}


def item(key: str, **attributes: Any) -> Item:
    """An item of the story."""
    return {"id": {"S": key}, **attributes}


def packing(story: Story, max_columns: int = 1) -> Story:
    """The story, told by an encoder that packs what is beyond so many columns."""
    story.encoder = Encoder(KEYS, max_columns)
    return story


def in_rest(story: Story) -> set[str]:
    """The attributes that some row keeps in `rest`."""
    found: set[str] = set()
    for batch in story.destination.rows("orders"):
        if REST in batch.schema.names:
            for text in batch.column(REST).cast(pa.string()).to_pylist():
                found |= msgspec.json.decode(text).keys() if text else set()
    return found


def planned(make: Any, max_columns: int) -> Story:
    """A table with room for some columns."""
    story = Story(make(), spec=TableSpec(max_columns=max_columns))
    story.plan()
    return story


def test_what_an_encoder_packed_is_put_in_the_column_it_has(make):
    story = planned(make, 1 + len(VALUES))
    first, second = item("1", **VALUES), item("2", **VALUES)
    story.tail(put(first))
    packing(story).tail(put(second))
    story.load(story.page(item("3", **VALUES)))
    story.shows(first, second, item("3", **VALUES))
    assert not in_rest(story)
    assert story.state().columns.keys() == {"id", *VALUES}


@pytest.mark.parametrize("name", VALUES)
def test_a_type_grows_with_what_was_packed(make, name):
    story = planned(make, 2)
    # By turns each meets every second other, and so do the others it.
    met = turn(list(VALUES.values()), list(VALUES).index(name), at_once=4)
    for number, value in enumerate(met):
        story.encoder = Encoder(KEYS, 2)
        story.tail(put(item(f"{number} plain", v=value)))
        packing(story).tail(put(item(f"{number} packed", v=VALUES[name])))
    expected = [
        each
        for number, value in enumerate(met)
        for each in (item(f"{number} plain", v=value), item(f"{number} packed", v=VALUES[name]))
    ]
    story.load()
    story.shows(*expected)
    assert not in_rest(story)


def test_segments_that_packed_others_are_loaded_into_the_same_columns(make):
    story = planned(make, 3)
    names = ["text", "binary", "beyond", "map"]
    pages, items = [], []
    for number in range(len(names)):
        turned = names[number:] + names[:number]
        story.encoder = Encoder(KEYS, 2)
        items.append(item(str(number), **{name: VALUES[name] for name in turned}))
        pages.append(story.page(items[-1]))
    story.load(*pages)
    story.shows(*items)
    assert len(story.state().columns) == 3
    assert in_rest(story) == set(names) - story.state().columns.keys()


def test_no_column_is_added_once_something_is_packed(make):
    story = planned(make, 2)
    story.tail(put(item("1", a={"N": "1"}, b={"N": "2"})))
    placed = story.state().columns.keys()
    # Another limit, as after a change by hand, adds none either.
    wide = Encoder(KEYS, 500)
    story.encoder = wide
    story.tail(put(item("2", a={"N": "3"}, b={"N": "4"}, c={"N": "5"})))
    story.load(story.page(item("3", b={"N": "6"}, c={"N": "7"})))
    assert story.state().columns.keys() == placed
    assert not in_rest(story) & placed
    story.shows(
        item("1", a={"N": "1"}, b={"N": "2"}),
        item("2", a={"N": "3"}, b={"N": "4"}, c={"N": "5"}),
        item("3", b={"N": "6"}, c={"N": "7"}),
    )


def test_what_0_1_0_spooled_is_loaded_where_it_can_be(make):
    story = planned(make, 2)
    story.tail(put(item("1", a={"N": "1"})))
    page = packing(story, 2).page(item("2", a={"N": "2"}, b={"B": "/w=="}))
    story.load(untold(page))
    story.shows(item("1", a={"N": "1"}), item("2", a={"N": "2"}, b={"B": "/w=="}))
    assert in_rest(story) == {"b"}


def test_what_0_1_0_spooled_in_two_places_is_read_again(make):
    story = planned(make, 3)
    story.tail(put(item("1", b={"B": "/w=="})))
    page = packing(story, 2).page(item("2", a={"N": "2"}, b={"B": "/w=="}))
    with pytest.raises(StateRefused, match="two places") as caught:
        story.load(untold(page))
    assert "--full-refresh" in caught.value.hint
    story.shows(item("1", b={"B": "/w=="}))


def untold(page: pa.Table) -> pa.Table:
    """A page as 0.1.0 spooled it: nothing tells the types of what is packed."""
    return page.set_column(page.column_names.index(REST), rest_field(), page.column(REST))
