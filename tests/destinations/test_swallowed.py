"""What a trigger or a rule of others swallows in Postgres is named, and nothing is committed."""

import re

import pytest

from connector.core.spec import Deletes
from connector.errors import DestinationRefused
from tests.rigs.postgres import Database

from .items import SECRET
from .postgres_story import told
from .story import Story, delete, put

A, B, C = ({"id": {"S": each}, "n": {"N": "1"}} for each in (SECRET, "b", "c"))
FUNCTION = (
    "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS "
    "$$BEGIN IF {} THEN RETURN NULL; END IF; RETURN coalesce(new, old); END$$"
)
TRIGGER = "CREATE TRIGGER tr BEFORE {} ON orders FOR EACH ROW EXECUTE FUNCTION f()"
RULE = "CREATE RULE r AS ON {} TO orders WHERE {} DO INSTEAD NOTHING"
NAMED = "because of the trigger tr on public.orders ({} row{})"


def swallowing(database: Database, event: str, when: str = "old.id = 'b'") -> None:
    """A trigger that swallows an event of some rows."""
    database.by_hand(FUNCTION.format(when), TRIGGER.format(event))


def refused(story: Story, name: str, *changes: object, **options: object) -> None:
    """The commit or the load is refused by name, and nothing of it is kept."""
    before = story.state(), story.items()
    with pytest.raises(DestinationRefused, match=re.escape(name)) as caught:
        changes[0](*changes[1:], **options)
    assert caught.value.hint
    assert SECRET not in str(caught.value)
    after = story.state(), story.items()
    assert (after[0].cursors, after[0].commit, after[1]) == (
        before[0].cursors,
        before[0].commit,
        before[1],
    )


@pytest.fixture
def postgres(kept_postgres: Database) -> Database:
    """How the state is made is not what these tests are about."""
    return kept_postgres


@pytest.fixture
def story(postgres: Database) -> Story:
    """A table with two rows, of which the trigger or the rule dislikes one."""
    begun = told(postgres)
    begun.load(begun.page(A, B))
    return begun


def test_a_delete(story, postgres):
    swallowing(postgres, "DELETE")
    refused(story, "(1 row was not deleted from it)", story.tail, delete(A), delete(B))
    story.tail(delete(A), delete(C))
    story.shows(B)


def test_a_delete_of_a_key_that_has_no_row_is_no_loss(story, postgres):
    swallowing(postgres, "DELETE", "old.id = 'nobody'")
    story.tail(delete(A), delete(C))
    story.shows(B)


def test_a_delete_by_a_rule(story, postgres):
    postgres.by_hand(RULE.format("DELETE", "old.id = 'b'"))
    refused(story, "the rule ", story.tail, delete(B))


def test_an_update(story, postgres):
    swallowing(postgres, "UPDATE")
    refused(story, "(1 row did not arrive in it)", story.tail, put({**B, "n": {"N": "2"}}))
    story.tail(put({**A, "n": {"N": "2"}}))


@pytest.mark.parametrize("event", ["UPDATE", "INSERT"])
def test_a_mark(postgres, event):
    story = told(postgres)
    story.deletes = Deletes.SOFT
    story.refresh()
    story.load(story.page(A, B))
    swallowing(postgres, event, "new.id = 'b'")
    refused(story, "(1 row did not arrive in it)", story.tail, delete(B))


def test_a_row_of_a_first_load(postgres):
    story = told(postgres)
    swallowing(postgres, "INSERT", "new.id = 'b'")
    refused(story, "(1 row did not arrive in it)", story.load, story.page(A, B))
    postgres.by_hand("DROP TRIGGER tr ON orders")
    story.load(story.page(A, B))
    story.shows(A, B)


def test_a_row_of_a_first_load_of_numbers_that_sql_inserts(postgres):
    story = told(postgres)
    swallowing(postgres, "INSERT", "new.id = 'b'")
    wide = {**B, "n": {"N": "1.5"}}
    refused(story, "(1 row did not arrive in it)", story.load, story.page(A, wide))


def test_a_first_load_beside_what_the_stream_wrote(postgres):
    story = told(postgres)
    story.tail(put(C), delete(A))
    swallowing(postgres, "INSERT", "new.id = 'b'")
    refused(story, "(1 row did not arrive in it)", story.load, story.page(A, B, C))
    postgres.by_hand("DROP TRIGGER tr ON orders")
    story.load(story.page(A, B, C))
    story.shows(B, C)


@pytest.mark.parametrize("change", [delete(A), put({**A, "n": {"N": "2"}})])
def test_a_scanned_row_that_the_stream_overtook(postgres, change):
    story = told(postgres)
    story.tail(change)
    swallowing(postgres, "DELETE", "old.id <> 'b'")
    with pytest.raises(DestinationRefused) as caught:
        story.load(story.page(A, B))
    assert SECRET not in str(caught.value)
    postgres.by_hand("DROP TRIGGER tr ON orders")
    story.load(story.page(A, B))
    story.shows(B, *([change[1]] if change[0] == "MODIFY" else []))


@pytest.mark.parametrize("event", ["UPDATE", "INSERT"])
def test_a_row_of_a_refresh(story, postgres, event):
    story.refresh()
    swallowing(postgres, event, "new.id = 'b'" if event == "UPDATE" else "new.id = 'c'")
    refused(story, "(1 row did not arrive in it)", story.load, story.page(A, B, C))


def test_a_row_that_a_refresh_deletes(story, postgres):
    story.refresh()
    swallowing(postgres, "DELETE")
    load = {"max_deleted": 1.0}
    refused(story, "(1 row was not deleted from it)", story.load, story.page(A), **load)


def test_a_trigger_that_lets_everything_pass_is_not_in_the_way(postgres):
    story = told(postgres)
    swallowing(postgres, "INSERT OR UPDATE OR DELETE", "false")
    story.tail(put(C), delete(A))
    story.load(story.page(A, B, C))
    story.tail(put({**B, "n": {"N": "2"}}), delete(C))
    story.refresh()
    story.tail(delete(B))
    story.load(story.page(A, B))
    story.shows(A)
