"""What every destination promises of columns that are new or wider: told once, with a key."""

from dataclasses import replace
from typing import Any

import pytest

from connector.core.keys import KeyAttribute
from connector.core.rows import schema_of
from connector.core.spec import Deletes, TableSpec
from connector.core.state import Committed, Drift
from connector.errors import TooManyDeletes
from connector.ports import Destination

from .conftest import Make
from .story import Story, asked, delete, put

pytestmark = pytest.mark.by_turns("make", always="fake")

TYPES = {
    "DuckDBDestination": {
        "integer": "BIGINT",
        "decimal": "DECIMAL(38,2)",
        "number": "JSON of numbers",
        "string": "VARCHAR",
        "boolean": "BOOLEAN",
        "binary": "BLOB",
        "json": "JSON",
    },
    "PostgresDestination": {
        "integer": "bigint",
        "decimal": "numeric",
        "number": "numeric",
        "string": "text",
        "boolean": "boolean",
        "binary": "bytea",
        "json": "jsonb",
    },
}
"""What a destination calls a type, if it has names of its own."""

ORDINARY = TYPES["DuckDBDestination"].keys()

TEXT, NUMBER, PRICE, FLAG = {"S": "n/a"}, {"N": "7"}, {"N": "9.75"}, {"BOOL": True}
BYTES, MAP, LIST, SET = {"B": "AAEC"}, {"M": {"a": {"N": "1"}}}, {"L": [NUMBER]}, {"SS": ["a"]}
HUGE = {"N": "1E-130"}


def item(key: str, **attributes: Any) -> dict[str, Any]:
    """An item with these attributes."""
    return {"id": {"S": key}, **attributes}


def keyed(key: str) -> str:
    """The canonical key of such an item."""
    return f'["{key}"]'


def words(destination: Destination, drift: Drift) -> Drift:
    """The drift with the types of this destination in place of ours."""
    types = TYPES.get(type(destination).__name__, {})
    before = None if drift.before is None else types.get(drift.before, drift.before)
    return replace(drift, before=before, after=types.get(drift.after, drift.after))


def in_duckdb(story: Story) -> bool:
    """Whether queries notice what numbers are kept as: elsewhere one type has all of them."""
    return type(story.destination).__name__ == "DuckDBDestination"


def assert_drift(story: Story, committed: Committed, *expected: Drift) -> None:
    """The commit has said so, and only so."""
    assert list(committed.drift) == [words(story.destination, each) for each in expected]


def kept(destination: Destination) -> list[tuple[Any, ...]]:
    """The rows of the state's own table, in the order of their commits."""
    sql = (
        'SELECT table_name, "column", "from", "to", "commit", key FROM _connector.drift '
        'ORDER BY "commit", "column", "from" NULLS FIRST'
    )
    return [tuple(row.values()) for row in asked(destination, sql)]


@pytest.fixture
def loaded(story: Story) -> Story:
    """A table that has been loaded."""
    committed = story.load(story.page(item("a", v=NUMBER, t=TEXT, m=MAP), item("b", v=NUMBER)))
    assert not committed.drift
    return story


def test_the_columns_of_a_first_load_are_not_told(story: Story) -> None:
    everything = dict(s=TEXT, n=NUMBER, p=PRICE, f=FLAG, b=BYTES, m=MAP, li=LIST, st=SET)
    first = story.tail(put(item("a", **everything)))
    again = story.tail(put(item("b", n=PRICE, other=NUMBER)))
    committed = story.load(
        story.page(item("c", n=NUMBER, p=NUMBER, late=TEXT)),
        story.page(item("d", n=PRICE, p=PRICE, both=MAP), item("e", both=LIST)),
        story.page(item("f", both=SET, none={"NULL": True})),
    )
    assert not first.drift and not again.drift and not committed.drift
    assert story.state().drift == 0


@pytest.mark.by_turns("make", "pages", always="fake")
@pytest.mark.parametrize("place", [0, 1, 4])
@pytest.mark.parametrize("pages", [1, 5])
def test_a_text_among_numbers_of_a_first_load_is_told(story: Story, place: int, pages: int) -> None:
    items = [item(f"k{n}", v=NUMBER) for n in range(5)]
    items[place]["v"] = TEXT
    each = [items] if pages == 1 else [[one] for one in items]
    committed = story.load(*(story.page(*page) for page in each))
    assert_drift(story, committed, Drift("v", "integer", "json", keyed(f"k{place}")))
    assert story.state().drift == 1
    assert (committed.widened_columns, story.destination.ran("orders").widened_columns) == (1, 1)


@pytest.mark.by_turns("make", "first", always="fake")
@pytest.mark.parametrize(
    ("usual", "odd", "before"),
    [
        (PRICE, TEXT, "decimal"),
        (TEXT, NUMBER, "string"),
        (TEXT, MAP, "string"),
        (FLAG, NUMBER, "boolean"),
        (NUMBER, SET, "integer"),
        (TEXT, LIST, "string"),
        (BYTES, NUMBER, "binary"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_the_rarest_sort_of_value_is_the_odd_one(
    story: Story, usual: Any, odd: Any, before: str, first: bool
) -> None:
    rest = [story.page(item("b", v=usual), item("c", v=usual))]
    odd_page = [story.page(item("odd", v=odd))]
    committed = story.load(*(odd_page + rest if first else rest + odd_page))
    assert_drift(story, committed, Drift("v", before, "json", keyed("odd")))


def test_maps_with_a_text_among_them_were_json_anyway(story: Story) -> None:
    committed = story.load(story.page(item("a", v=MAP), item("b", v=LIST), item("c", v=TEXT)))
    assert not committed.drift


def test_what_the_stream_wrote_before_a_first_load_is_not_the_usual(story: Story) -> None:
    story.tail(put(item("odd", v=TEXT)))
    items = [item("odd", v=TEXT), *(item(f"k{n}", v=NUMBER) for n in range(4))]
    committed = story.load(story.page(*items))
    assert_drift(story, committed, Drift("v", "integer", "json", keyed("odd")))


def test_a_first_load_of_one_sort_over_another_of_the_stream(story: Story) -> None:
    story.tail(put(item("a", v=TEXT)))
    committed = story.load(story.page(item("b", v=NUMBER)))
    assert_drift(story, committed, Drift("v", "string", "json", keyed("b")))


def test_a_mix_that_the_stream_brings_before_the_first_load(story: Story) -> None:
    changes = [put(item(f"k{n}", v=NUMBER)) for n in range(4)]
    committed = story.tail(*changes, put(item("odd", v=TEXT)))
    assert_drift(story, committed, Drift("v", "integer", "json", keyed("odd")))
    loaded = story.load(story.page(item("odd", v=TEXT), item("k1", v=NUMBER)))
    assert not loaded.drift
    assert story.state().drift == 1


@pytest.mark.parametrize(
    ("value", "after"),
    [(TEXT, "json"), (PRICE, "decimal"), (FLAG, "json"), (MAP, "json"), (BYTES, "json")],
)
def test_a_tail_that_widens(loaded: Story, value: Any, after: str) -> None:
    committed = loaded.tail(
        put(item("c", v=NUMBER)), put(item("odd", v=value)), put(item("d", v=NUMBER))
    )
    assert_drift(loaded, committed, Drift("v", "integer", after, keyed("odd")))
    again = loaded.tail(put(item("e", v=value)), put(item("odd", v=NUMBER)))
    assert not again.drift
    loaded.refresh()
    assert not loaded.load(loaded.page(item("a", v=value), item("b", v=NUMBER))).drift
    assert loaded.state().drift == 1


def test_a_tail_that_adds(loaded: Story) -> None:
    committed = loaded.tail(
        put(item("c", v=NUMBER)), put(item("d", new=PRICE, none={"NULL": True}))
    )
    assert_drift(loaded, committed, Drift("new", None, "decimal", keyed("d")))
    assert (committed.new_columns, committed.widened_columns) == (1, 0)
    assert not loaded.tail(put(item("e", new=PRICE))).drift


def test_a_new_column_that_mixes_at_once_is_both(loaded: Story) -> None:
    changes = [put(item(f"k{n}", new=NUMBER)) for n in range(3)]
    committed = loaded.tail(*changes, put(item("odd", new=TEXT)))
    assert [(each.column, each.key) for each in committed.drift][1:] == [("new", keyed("odd"))]
    before = words(loaded.destination, Drift("new", "integer", "json", keyed("odd")))
    assert committed.drift[1] == before
    assert (committed.drift[0].before, committed.drift[0].after) == (None, before.before)


def test_a_refresh_tells_what_is_new_and_what_is_wider(loaded: Story) -> None:
    loaded.refresh()
    first = loaded.tail(put(item("c", early=FLAG)))
    assert_drift(loaded, first, Drift("early", None, "boolean", keyed("c")))
    pages = [
        loaded.page(item("a", v=NUMBER), item("c", early=FLAG)),
        loaded.page(item("b", v=TEXT), item("d", late=MAP)),
    ]
    committed = loaded.load(*pages)
    assert_drift(
        loaded,
        committed,
        Drift("v", "integer", "json", keyed("b")),
        Drift("late", None, "json", keyed("d")),
    )
    assert loaded.state().drift == 3


def test_a_new_column_has_the_type_of_all_its_values(loaded: Story) -> None:
    loaded.refresh()
    committed = loaded.load(
        loaded.page(item("a", new=NUMBER)),
        loaded.page(item("b", new=PRICE)),
    )
    assert_drift(loaded, committed, Drift("new", None, "decimal", keyed("a")))


def test_a_refused_load_leaves_no_drift(loaded: Story) -> None:
    loaded.refresh()
    with pytest.raises(TooManyDeletes):
        loaded.load(loaded.page(item("c", v=TEXT)), max_deleted=0)
    assert loaded.state().drift == 0


def test_a_value_that_is_deleted_in_the_same_batch_widens_nothing(loaded: Story) -> None:
    odd = item("odd", v=TEXT, new=TEXT)
    assert not loaded.tail(put(odd), delete(odd), put(item("c", v=NUMBER))).drift
    assert not loaded.tail(put(odd), put(item("odd", v=NUMBER))).drift
    assert loaded.state().columns.keys() == {"id", "v", "t", "m"}


def test_a_row_that_is_marked_as_deleted_is_no_cause(destination: Destination) -> None:
    story = Story(destination, deletes=Deletes.SOFT)
    story.plan()
    story.load(story.page(item("a", v=NUMBER)))
    committed = story.tail(delete(item("a")), put(item("odd", v=TEXT)))
    assert_drift(story, committed, Drift("v", "integer", "json", keyed("odd")))


def test_a_column_that_is_json_does_not_grow(loaded: Story) -> None:
    for value in (TEXT, NUMBER, FLAG, LIST):
        assert not loaded.tail(put(item("c", m=value))).drift


def test_a_text_that_looks_like_binary_has_no_key(loaded: Story) -> None:
    loaded.tail(put(item("c", raw=BYTES)))
    committed = loaded.tail(put(item("d", raw=BYTES)), put(item("odd", raw=TEXT)))
    assert_drift(loaded, committed, Drift("raw", "binary", "json", keyed("odd")))
    loaded.tail(put(item("c", other=BYTES)))
    committed = loaded.tail(put(item("d", other=BYTES)), put(item("e", other={"S": "AAEC"})))
    assert_drift(loaded, committed, Drift("other", "binary", "json", None))


def test_columns_beyond_the_most_are_no_columns(make: Make) -> None:
    story = Story(make(), spec=TableSpec(max_columns=2))
    story.plan()
    story.load(story.page(item("a", v=NUMBER)))
    committed = story.tail(put(item("odd", v=TEXT, x=NUMBER)), put(item("c", y=TEXT)))
    assert_drift(story, committed, Drift("v", "integer", "json", keyed("odd")))
    assert not story.tail(put(item("d", x=TEXT))).drift


def test_packed_rows_have_no_columns_that_grow(make: Make) -> None:
    story = Story(make(), spec=TableSpec(layout="packed"))
    story.plan()
    assert not story.load(story.page(item("a", v=NUMBER), item("b", v=TEXT))).drift
    assert not story.tail(put(item("c", x=NUMBER)), put(item("d", x=TEXT))).drift


def test_what_a_page_packs_is_looked_at_where_it_has_a_column(make: Make) -> None:
    story = Story(make())
    story.plan()
    story.load(story.page(item("a", v=NUMBER)))
    story.encoder = type(story.encoder)(story.keys, packed=True)
    committed = story.tail(put(item("b", v=NUMBER)), put(item("odd", v=TEXT)))
    assert_drift(story, committed, Drift("v", "integer", "json", keyed("odd")))


@pytest.mark.parametrize(
    ("tag", "before", "wide", "text"),
    [("N", "integer", "1.25", "1.25"), ("S", None, "x", "x"), ("B", None, "AAEC", "AAEC")],
)
def test_a_key_of_numbers_is_the_only_one_that_grows(
    make: Make, tag: str, before: str | None, wide: str, text: str
) -> None:
    narrow = {"N": "7", "S": "a", "B": "AA=="}[tag]
    story = Story(make(), keys=(KeyAttribute("id", tag),))
    story.plan()
    story.load(story.page({"id": {tag: narrow}}))
    committed = story.tail(put({"id": {tag: wide}, "new": TEXT}))
    expected = [Drift("new", None, "string", f'["{text}"]')]
    if before:
        expected.insert(0, Drift("id", before, "decimal", f'["{text}"]'))
    assert_drift(story, committed, *expected)


def test_a_key_of_two_parts_is_told_whole(make: Make) -> None:
    keys = (KeyAttribute("pk", "B"), KeyAttribute("sk", "N"))
    story = Story(make(), keys=keys)
    story.plan()
    story.load(story.page({"pk": BYTES, "sk": {"N": "1.50"}, "v": NUMBER}))
    odd = {"pk": BYTES, "sk": {"N": "2.50"}, "v": TEXT}
    committed = story.tail(put(odd))
    assert_drift(story, committed, Drift("v", "integer", "json", '["AAEC","2.5"]'))
    assert committed.drift[0].key == story.key(odd)


def test_numbers_that_no_longer_fit_are_told_where_a_query_can_notice(make: Make) -> None:
    story = Story(make())
    story.plan()
    first = story.load(story.page(item("a", v=NUMBER, w=NUMBER), item("odd", v=HUGE, w=NUMBER)))
    told = [Drift("v", "integer", "number", keyed("odd"))]
    assert_drift(story, first, *(told if in_duckdb(story) else []))
    second = story.tail(put(item("b", w=PRICE)), put(item("c", w=HUGE)))
    assert_drift(story, second, Drift("w", "integer", "number", second.drift[0].key))
    third = story.tail(put(item("d", w=NUMBER)), put(item("odd", w=TEXT)))
    assert_drift(story, third, Drift("w", "number", "json", keyed("odd")))


def test_numbers_alike_in_size_only_are_of_two_sorts(make: Make) -> None:
    """Each fits a decimal, and no decimal holds both."""
    story = Story(make())
    story.plan()
    long, fine = {"N": "1" * 30}, {"N": "0." + "1" * 30}
    committed = story.load(story.page(item("a", v=long), item("b", v=long), item("odd", v=fine)))
    told = [Drift("v", "DECIMAL(38,0)", "JSON of numbers", keyed("odd"))]
    assert list(committed.drift) == (told if in_duckdb(story) else [])


def test_a_finer_decimal_is_told_where_its_type_changes(make: Make) -> None:
    story = Story(make())
    story.plan()
    story.load(story.page(item("a", v=PRICE)))
    committed = story.tail(put(item("b", v={"N": "99999.5"})), put(item("c", v={"N": "0.125"})))
    told = [Drift("v", "DECIMAL(38,2)", "DECIMAL(38,3)", keyed("c"))]
    assert list(committed.drift) == (told if in_duckdb(story) else [])


def test_it_is_kept_in_the_state_by_the_names_of_columns(make: Make) -> None:
    story = Story(make())
    story.plan()
    story.load(story.page(item("a", v=NUMBER, _commit=NUMBER)))
    renamed = story.state().columns["_commit"].name
    committed = story.tail(put(item("b", v=TEXT, _commit=TEXT, **{"nasty\x1b[31m\"';--": TEXT})))
    types = TYPES.get(type(story.destination).__name__, {name: name for name in ORDINARY})
    number = committed.commit
    assert kept(story.destination) == sorted(
        [
            ("orders", renamed, types["integer"], types["json"], number, keyed("b")),
            ("orders", "nasty\x1b[31m\"';--", None, types["string"], number, keyed("b")),
            ("orders", "v", types["integer"], types["json"], number, keyed("b")),
        ],
        key=lambda row: row[1].encode(),
    )
    (row,) = asked(story.destination, 'SELECT count("at") AS n FROM _connector.drift')
    assert row["n"] == 3


def test_many_columns_at_once_are_all_kept(make: Make) -> None:
    story = Story(make())
    story.plan()
    story.load(story.page(item("a")))
    many = {f"c{n:03}": TEXT for n in range(300)}
    committed = story.tail(put(item("b", **many)))
    assert len(committed.drift) == story.state().drift == len(kept(story.destination)) == 300


def test_a_reset_forgets_it_and_a_refresh_does_not(make: Make) -> None:
    destination = make()
    story, other = Story(destination), Story(destination, table="other", target="other")
    for each in (story, other):
        each.plan()
        each.load(each.page(item("a", v=NUMBER)))
        each.tail(put(item("b", v=TEXT)))
    story.refresh()
    story.load(story.page(item("a", v=NUMBER)))
    assert [row[0] for row in kept(destination)] == ["orders", "other"]
    assert (story.state().drift, other.state().drift) == (1, 1)
    destination.reset("orders", drop=True)
    assert [row[0] for row in kept(destination)] == ["other"]


def test_the_schema_of_a_spool_may_promise_more_than_its_rows_hold(story: Story) -> None:
    """A worker that has seen a text makes JSON of later pages that have numbers alone."""
    mixed = story.page(item("a", v=NUMBER), item("odd", v=TEXT))
    later = story.page(item("b", v=NUMBER), item("c", v=NUMBER))
    assert schema_of(later.schema)["v"].kind.value == "json"
    committed = story.load(later, mixed)
    assert_drift(story, committed, Drift("v", "integer", "json", keyed("odd")))
