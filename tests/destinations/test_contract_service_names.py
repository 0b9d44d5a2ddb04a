"""Attributes that are called like columns of ours, as AWS Amplify's are."""

from typing import Any

import pytest

from connector.core.keys import KeyAttribute
from connector.core.spec import Deletes, TableSpec
from connector.destinations.postgres.server import PostgresDestination
from connector.errors import ConfigError

from .items import A, B, C
from .story import Story, asked, delete, put

pytestmark = pytest.mark.by_turns("make", always="fake")

AMPLIFY: dict[str, Any] = {
    "id": {"S": "todo"},
    "_deleted": {"BOOL": True},
    "_version": {"N": "3"},
    "_ttl": {"N": "1700000000"},
    "_lastChangedAt": {"N": "1699999999123"},
    "__typename": {"S": "Todo"},
}
OURS: dict[str, Any] = {
    "id": {"S": "ours"},
    "_rest": {"S": "r"},
    "_commit": {"N": "5"},
    "_changed_at": {"S": "never"},
}


def names(story: Story) -> dict[str, str]:
    """Column by attribute."""
    return {attribute: column.name for attribute, column in story.state().columns.items()}


def planned(make: Any, deletes: Deletes = Deletes.APPLY) -> Story:
    """A table of any kind of items."""
    story = Story(make(), deletes=deletes)
    story.plan()
    return story


def test_an_attribute_keeps_its_name_unless_the_table_has_a_column_of_ours(make):
    story = planned(make)
    committed = story.tail(put(AMPLIFY), put(OURS))
    found = names(story)
    assert {name: found[name] for name in AMPLIFY} == {name: name for name in AMPLIFY}
    assert committed.renamed == {name: found[name] for name in OURS if name != "id"}
    assert all(found[name].startswith(f"{name}_") for name in committed.renamed)
    story.load(story.page({**AMPLIFY, "id": {"S": "scanned"}, "_deleted": {"BOOL": False}}))
    # Told once, when a column is made.
    assert story.tail(put(OURS)).renamed == {}
    scanned = {**AMPLIFY, "id": {"S": "scanned"}, "_deleted": {"BOOL": False}}
    story.shows(AMPLIFY, OURS, scanned)
    assert story.destination.count("orders") == 3
    story.tail(delete(AMPLIFY))
    story.shows(OURS, scanned)


@pytest.mark.parametrize("deletes", [Deletes.SOFT, Deletes.IGNORE_TTL])
def test_where_rows_are_marked_the_mark_has_the_name(make, deletes):
    story = planned(make, deletes)
    story.deletes = Deletes.SOFT
    assert story.tail(put(AMPLIFY), put(B)).renamed.keys() == {"_deleted"}
    story.tail(delete(B))
    story.shows(AMPLIFY)
    story.load(story.page(C))
    story.shows(AMPLIFY, C)
    text = 'SELECT {id} AS id FROM {orders} WHERE "_deleted" IS TRUE'
    assert asked(story.destination, text) == [{"id": "b"}]


@pytest.mark.by_turns()
@pytest.mark.parametrize("name", ["_DELETED", "_Deleted", "_REST", "_Commit", "_CHANGED_AT"])
def test_case_makes_no_other_name_but_in_postgres(make, name):
    story = planned(make)
    item = {**A, name: {"S": "x"}}
    renamed = story.tail(put(item)).renamed
    postgres = isinstance(story.destination, PostgresDestination)
    other_case = not postgres and name.lower() != "_deleted"
    assert renamed.keys() == ({name} if other_case else set())
    story.load(story.page(B))
    story.shows(item, B)


def test_deletes_are_not_marked_where_an_attribute_has_the_name(make):
    story = planned(make)
    story.tail(put(AMPLIFY))
    story.load(story.page(B))
    with pytest.raises(ConfigError, match="an attribute has the column _deleted"):
        story.destination.reconfigure("orders", "orders", TableSpec(deletes=Deletes.SOFT))
    story.shows(AMPLIFY, B)
    story.deletes = Deletes.SOFT
    story.refresh()
    # The new generation frees the name, and what was there goes with the attribute.
    assert names(story)["_deleted"] != "_deleted"
    story.shows(AMPLIFY, B)
    story.load(story.page(AMPLIFY, B))
    story.tail(delete(B))
    story.shows(AMPLIFY)
    assert story.destination.count("orders") == 1
    text = 'SELECT {id} AS id, "_deleted" AS gone FROM {orders} ORDER BY id'
    assert asked(story.destination, text) == [
        {"id": "b", "gone": True},
        {"id": "todo", "gone": False},
    ]


def test_a_forgotten_table_gives_the_column_to_whom_it_belongs(make):
    story = planned(make)
    story.load(story.page(AMPLIFY, B))
    story.destination.reset("orders", drop=False)
    story.plan("plan-again")
    assert names(story)["_deleted"] == "_deleted"
    story.load(story.page(AMPLIFY))
    story.shows(AMPLIFY)


def test_a_forgotten_table_keeps_its_marks(make):
    story = planned(make, Deletes.SOFT)
    story.load(story.page(A, B))
    story.tail(delete(B))
    story.destination.reset("orders", drop=False)
    story.plan("plan-again")
    story.load(story.page(A, AMPLIFY))
    story.shows(A, AMPLIFY)
    text = 'SELECT {id} AS id FROM {orders} WHERE "_deleted"'
    assert asked(story.destination, text) == [{"id": "b"}]


def test_a_column_that_marked_rows_once_is_no_attributes(make):
    story = planned(make, Deletes.SOFT)
    story.load(story.page(A, B))
    story.tail(delete(B))
    story.destination.reconfigure("orders", "orders", TableSpec())
    story.deletes = Deletes.APPLY
    assert story.tail(put(AMPLIFY)).renamed.keys() == {"_deleted"}
    story.shows(A, AMPLIFY)
    assert story.destination.count("orders") == 2


def test_the_parts_of_a_key_may_have_these_names(make):
    keys = (KeyAttribute("_deleted", "S"), KeyAttribute("_commit", "N"))
    story = Story(make(), keys)
    story.plan()
    assert names(story)["_deleted"] == "_deleted"
    one = {"_deleted": {"S": "x"}, "_commit": {"N": "1"}, "n": {"N": "2"}}
    two = {**one, "_commit": {"N": "2"}}
    story.tail(put(one))
    story.load(story.page(two))
    story.shows(one, two)
    story.deletes = Deletes.SOFT
    story.refresh()
    story.load(story.page(one, two))
    story.tail(delete(one))
    story.shows(two)
