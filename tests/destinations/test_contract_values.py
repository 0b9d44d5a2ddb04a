"""What every destination promises of values, keys and names; and so does the fake."""

from itertools import product

import pyarrow as pa
import pytest

from connector.core.keys import KeyAttribute
from connector.core.rows import field_of, schema_of
from connector.core.schema import Kind
from connector.core.spec import TableSpec

from .items import NAMES, VALUES, A
from .story import Story, delete, put

pytestmark = pytest.mark.by_turns("make", always="fake")


@pytest.mark.parametrize("part", range(4))
def test_widening_a_column_keeps_every_value(story, part):
    """From each value to each other, in a column of their own: a quarter of them at a time."""
    pairs = [(first, second) for first in list(VALUES)[part::4] for second in VALUES]
    names = [f"{first} then {second}" for first, second in pairs]
    third = dict(zip(VALUES, reversed(VALUES.values()), strict=True))
    one, two, three = (
        {"id": {"S": number}} | dict(zip(names, values, strict=True))
        for number, values in (
            ("1", [VALUES[first] for first, _ in pairs]),
            ("2", [VALUES[second] for _, second in pairs]),
            ("3", [third[second] for _, second in pairs]),
        )
    )
    story.tail(put(one))
    story.shows(one)
    story.tail(put(two))
    story.shows(one, two)
    story.load(story.page(three))
    story.shows(one, two, three)


def test_numbers_widen_step_by_step(story):
    kinds = []
    items = []
    for index, number in enumerate(["7", "7.25", "1E-20", "1E-130", "12"]):
        items.append({"id": {"S": str(index)}, "n": {"N": number}})
        story.tail(put(items[-1]))
        kinds.append(story.state().columns["n"].type.kind)
        story.shows(*items)
    assert kinds == [Kind.INTEGER, Kind.DECIMAL, Kind.NUMBER, Kind.NUMBER, Kind.NUMBER]


def test_an_attribute_that_was_only_null_has_no_column(story):
    story.tail(put(A | {"nothing": {"NULL": True}}))
    assert set(story.state().columns) == {"id", "n"}


KEY_SCHEMAS = {
    "S": (KeyAttribute("k", "S"),),
    "N": (KeyAttribute("k", "N"),),
    "B": (KeyAttribute("k", "B"),),
    "S+N": (KeyAttribute("k", "S"), KeyAttribute("r", "N")),
    "B+S": (KeyAttribute("_commit", "B"), KeyAttribute("A", "S")),
    "N+B": (KeyAttribute("a", "N"), KeyAttribute("A", "B")),
    "N+S": (KeyAttribute("d", "N"), KeyAttribute("n", "S")),
    "S+B": (KeyAttribute("t", "S"), KeyAttribute("s", "B")),
}


KEY_VALUES = {
    "S": ["a", "A", "a ", "1", "é", "e\u0301", "nul\u0000", "q\"'\\\u001f"],
    "N": ["1", "-1", "10", "0", "1.5", "0.10", "1E-130", "9.99E+125"],
    "B": ["AA==", "AAA=", "/w==", "YQ==", "QQ==", "Yg==", "AAEC", "////"],
}


@pytest.mark.parametrize(
    ("schema", "steps"),
    [(schema, "all at once") for schema in KEY_SCHEMAS]
    + [(schema, "bit by bit") for schema in ("N", "B+S", "S+N")],
)
def test_keys_are_exact(destination, schema, steps):
    keys = KEY_SCHEMAS[schema]
    story = Story(destination, keys)
    story.plan()
    values = [
        list(zip(*parts, strict=True))
        for parts in product(
            *([(key.name, {key.tag: v}) for v in KEY_VALUES[key.tag][:5]] for key in keys)
        )
    ]
    if len(keys) == 1:
        values = [[(keys[0].name,), ({keys[0].tag: v},)] for v in KEY_VALUES[keys[0].tag]]
    items = [
        dict(zip(*pairs, strict=True)) | {"v": {"N": str(index)}}
        for index, pairs in enumerate(values)
    ]
    changes = [put(item) for item in items]
    # Neighbours, which look alike, come in different commits.
    for group in [changes] if steps == "all at once" else [changes[n:8:4] for n in range(4)]:
        story.tail(*group)
    written = items if steps == "all at once" else items[:8]
    story.shows(*written)
    again = [item | {"v": {"S": "again"}} for item in written]
    story.tail(*map(put, again[::2]), *map(delete, again[1::2]))
    story.shows(*again[::2])
    story.load(story.page(*items), story.page(*items))
    story.shows(*again[::2], *items[len(written) :])
    story.refresh()
    story.load(story.page(*items[::3]), story.page(*items[::3]))
    story.shows(*items[::3])


def test_spellings_of_a_number_are_one_key(destination):
    story = Story(destination, (KeyAttribute("k", "N"),))
    story.plan()
    story.tail(put({"k": {"N": "1.50"}}), put({"k": {"N": "100"}}))
    story.tail(put({"k": {"N": "1.5"}, "v": {"S": "new"}}), delete({"k": {"N": "1E2"}}))
    story.load(story.page({"k": {"N": "1.500"}}, {"k": {"N": "100.0"}}, {"k": {"N": "2"}}))
    story.shows({"k": {"N": "1.5"}, "v": {"S": "new"}}, {"k": {"N": "2"}})


def test_a_number_key_widens_under_its_tombstones(destination):
    story = Story(destination, (KeyAttribute("k", "N"),))
    story.plan()
    story.tail(delete({"k": {"N": "100"}}), put({"k": {"N": "7"}}))
    story.tail(delete({"k": {"N": "0.5"}}))
    story.tail(delete({"k": {"N": "1E-130"}}), delete({"k": {"N": "7"}}))
    numbers = ["100", "0.5", "1E-130", "7", "8"]
    story.load(story.page(*({"k": {"N": number}} for number in numbers)))
    story.shows({"k": {"N": "8"}})


def without_names(item):
    """The item with plain names in place of NAMES."""
    return {f"name{NAMES.index(n)}" if n in NAMES else n: value for n, value in item.items()}


def with_names(rows):
    """The rows with NAMES again: here the destination is tried, not the encoder."""
    plain = {f"name{index}": name for index, name in enumerate(NAMES)}
    types = schema_of(rows.schema)
    fields = [
        field_of(plain.get(name, name), types[name]) if name in types else field
        for field in rows.schema
        for name in [field.name.removeprefix("item.")]
    ]
    return pa.Table.from_arrays(rows.columns, schema=pa.schema(fields))


def test_every_name_has_a_column_of_its_own(story):
    item = {"id": {"S": "1"}} | {name: {"S": f"v{i}"} for i, name in enumerate(NAMES)}
    other = {"id": {"S": "2"}} | {name: {"N": str(i)} for i, name in enumerate(NAMES)}
    story.tail(put({"id": {"S": "1"}, "A": {"S": "first"}}))
    story.tail(rows=with_names(story.records(put(without_names(item)))))
    story.shows(item)
    columns = story.state().columns
    assert set(columns) == {"id", *NAMES}
    assert len({column.name for column in columns.values()}) == len(columns)
    story.load(*[with_names(story.page(without_names(other)))] * 2)
    story.shows(item, other)
    story.refresh()
    story.load(*[with_names(story.page(without_names(other)))] * 2)
    story.shows(other)
    assert {n: c.name for n, c in story.state().columns.items()} == {
        n: c.name for n, c in columns.items()
    }


def test_attributes_beyond_the_limit_are_kept_together(make):
    story = Story(make(), spec=TableSpec(max_columns=3))
    story.plan()
    one = {"id": {"S": "1"}, "a": {"N": "1.50"}, "b": {"S": "x"}}
    two = {"id": {"S": "2"}, "c": {"N": "1E-130"}, "d": {"B": "/w=="}, "e": {"M": {}}}
    story.tail(put(one))
    story.tail(put(two))
    story.shows(one, two)
    three = {"id": {"S": "3"}, "a": {"S": "s"}, "f": {"BOOL": True}}
    story.load(story.page({"id": {"S": "4"}}), story.page(three), story.page(two, one))
    four = {"id": {"S": "4"}}
    story.shows(one, two, three, four)
    assert len(story.state().columns) == 3
    story.tail(put(two | {"d": {"NULL": True}}), put(one | {"z": {"S": "z"}}))
    story.shows(one | {"z": {"S": "z"}}, two | {"d": {"NULL": True}}, three, four)
    story.tail(put(one))
    story.shows(one, two | {"d": {"NULL": True}}, three, four)


def test_a_load_may_need_the_rest_midway(make):
    story = Story(make(), spec=TableSpec(max_columns=2))
    story.plan()
    plain = story.page({"id": {"S": "1"}, "a": {"S": "x"}})
    wide = {"id": {"S": "2"}, "a": {"S": "y"}, "b": {"S": "z"}}
    last = {"id": {"S": "3"}}
    story.tail(delete(last))
    story.load(plain, story.page(wide), story.page(last))
    story.shows({"id": {"S": "1"}, "a": {"S": "x"}}, wide)
