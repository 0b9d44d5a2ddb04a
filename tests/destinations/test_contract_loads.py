"""What every destination promises of loads and refreshes; and so does the fake."""

from datetime import timedelta

import pytest

from connector.core.cursors import START, Cursor
from connector.core.rows import schema_of
from connector.core.spec import Deletes
from connector.core.state import Load, Phase, Ran
from connector.errors import CursorMoved, TooManyDeletes

from .items import A2, A, B, C
from .story import EPOCH, SEGMENT, SHARD, Story, delete, put

pytestmark = pytest.mark.by_turns("make", always="fake")


def test_a_scan_fills_the_table(story):
    committed = story.load(story.page(A, B), story.page(C | {"more": {"BOOL": True}}))
    assert (committed.written, committed.deleted) == (3, 0)
    state = story.state()
    assert state.phase is Phase.TAILING
    assert state.cursors[SEGMENT] == Cursor(None, True)
    assert state.cursors[SHARD] == START
    assert state.scanned_until == EPOCH
    assert state.loaded_at is not None
    story.shows(A, B, C | {"more": {"BOOL": True}})


def test_an_empty_scan_ends_the_loading_phase(story):
    assert story.load().written == 0
    assert story.state().phase is Phase.TAILING
    story.shows()


def test_a_scan_never_replaces_what_the_stream_wrote(story):
    story.tail(put(A2), delete(B))
    committed = story.load(story.page(A, B, C))
    assert (committed.written, committed.deleted) == (1, 0)
    story.shows(A2, C)


def test_a_load_says_how_many_rows_are_the_streams(story):
    story.tail(put(A2), delete(B))
    assert story.load(story.page(A, B, C)).streamed == 1
    story.refresh()
    assert story.load(story.page(A)).streamed == 0
    story.refresh()
    story.tail(put(A), put(C))
    committed = story.load(story.page(A, C))
    assert (committed.written, committed.streamed) == (0, 2)


def test_a_row_that_is_marked_as_deleted_is_none_of_the_streams(destination):
    story = Story(destination, deletes=Deletes.SOFT)
    story.plan()
    story.tail(put(A), put(B))
    story.tail(delete(A))
    committed = story.load(story.page(A, B, C))
    assert (committed.written, committed.streamed) == (1, 1)
    story.shows(B, C)


def test_commits_say_which_columns_are_new_and_the_run_adds_them_up(destination):
    story = Story(destination)
    assert destination.ran("orders") == Ran()
    story.plan()
    first = story.tail(put(A | {"one": {"S": "x"}, "two": {"BOOL": True}}), delete(C))
    again = story.tail(put(A | {"one": {"N": "1"}}), put(B | {"none": {"NULL": True}}))
    loaded = story.load(story.page(A, B | {"three": {"S": "x"}}, C))
    assert (again.new_columns, loaded.new_columns) == (0, 1)
    done = [first, again, loaded]
    assert destination.ran("orders") == Ran(
        commits=4,
        written=sum(each.written for each in done),
        deleted=sum(each.deleted for each in done),
        quarantined=0,
        new_columns=first.new_columns + 1,
        widened_columns=1,
    )
    assert first.new_columns == len(story.state().columns) - 2
    assert destination.ran("others") == Ran()


def test_a_tombstone_does_not_outlive_the_load(story):
    story.tail(delete(B))
    story.load(story.page(A, B))
    story.shows(A)
    story.refresh()
    story.load(story.page(A, B))
    story.shows(A, B)


def test_an_item_deleted_and_made_again_is_the_streams(story):
    story.tail(delete(A))
    story.tail(put(A2))
    story.load(story.page(A, B))
    story.shows(A2, B)


def test_a_delete_after_the_load_needs_no_tombstone(story):
    story.load(story.page(A, B))
    story.tail(delete(A))
    story.refresh()
    story.load(story.page(A, B))
    story.shows(A, B)


def test_a_load_happens_once(story):
    story.load(story.page(A))
    before = story.state()
    with pytest.raises(CursorMoved):
        story.load(story.page(A, B))
    assert story.state() == before
    story.shows(A)


@pytest.mark.parametrize("wrong", [{"generation": 2}, {"plan_id": "rival"}, {"table": "unknown"}])
def test_a_load_of_another_plan_leaves_no_trace(story, wrong):
    before = story.state()
    with pytest.raises(CursorMoved):
        story.load(story.page(A), **wrong)
    assert story.state() == before
    story.shows()


def test_a_load_whose_spool_cannot_be_read_leaves_no_trace(story):
    def pages():
        yield page
        raise LookupError("a damaged link")

    page = story.page(A)
    before = story.state()
    load = Load("orders", 1, "plan-1", schema_of(page.schema), [SEGMENT], EPOCH)
    with pytest.raises(LookupError):
        story.destination.load(load, pages(), [])
    assert story.state() == before
    story.shows()


def test_a_key_that_was_scanned_twice_is_loaded_once(story):
    newer = story.page(A2, at=EPOCH + timedelta(seconds=9))
    committed = story.load(story.page(A, B, C), newer, story.page(B))
    assert committed.written == 3
    story.shows(A2, B, C)


def test_a_refresh_deletes_rows_that_vanished(story):
    story.load(story.page(A, B))
    story.tail(put(C))
    state = story.refresh()
    assert (state.generation, state.phase) == (2, Phase.LOADING)
    assert state.cursors == {SEGMENT: START, SHARD: START}
    story.shows(A, B, C)
    committed = story.load(story.page(A2))
    assert (committed.written, committed.deleted) == (1, 2)
    story.shows(A2)


def test_a_refresh_keeps_what_its_own_stream_wrote(story):
    story.load(story.page(A, B))
    story.refresh()
    story.tail(put(C), delete(B))
    story.load(story.page(A, B))
    story.shows(A, C)


def test_a_refresh_keeps_columns_and_their_types(story):
    story.tail(put(A | {"v": {"S": "x"}}))
    columns = story.state().columns
    assert story.refresh().columns == columns


@pytest.mark.parametrize("deletes", [Deletes.SOFT, Deletes.APPLY])
def test_a_row_that_is_only_marked_keeps_its_values(destination, deletes):
    story = Story(destination, deletes=Deletes.SOFT)
    story.plan()
    story.tail(put(A))
    committed = story.tail(delete(A), put(B), delete({"id": {"S": "never seen"}}))
    assert (committed.written, committed.deleted) == (1, 2)
    story.shows(B)
    assert destination.count("orders") == 1
    story.load(story.page(A, B, C))
    story.shows(B, C)
    story.deletes = deletes
    story.tail(put(A2))
    story.shows(A2, B, C)
    assert story.tail(delete(B)).deleted == 1
    story.shows(A2, C)


def test_a_refresh_leaves_marked_rows_until_their_item_is_back(destination):
    story = Story(destination, deletes=Deletes.SOFT)
    story.plan()
    story.load(story.page(A, B, C))
    story.tail(delete(A), delete(B))
    story.refresh()
    committed = story.load(story.page(A2, C), max_deleted=0)
    assert (committed.written, committed.deleted) == (2, 0)
    story.shows(A2, C)
    story.tail(put(B))
    story.shows(A2, B, C)


def test_too_many_deletes_need_a_word(story):
    story.load(story.page(A, B, C), max_deleted=0)
    story.refresh()
    before = story.state()
    with pytest.raises(TooManyDeletes):
        story.load(story.page(A2), max_deleted=0.5)
    assert story.state() == before
    story.shows(A, B, C)
    assert story.load(story.page(A2, B), max_deleted=0.5).deleted == 1
    story.refresh()
    story.tail(delete(A))
    assert story.load(max_deleted=None).deleted == 1


def test_rows_that_the_stream_has_written_since_a_plan_count_as_those_that_were_there(story):
    story.load(story.page(A, B, C), max_deleted=0)
    story.refresh()
    story.tail(put(A2), put(C))
    # B is the only earlier row that is left, and it vanishes: one of three.
    assert story.load(story.page(A2, C), max_deleted=0.5).deleted == 1
    story.shows(A2, C)
    story.refresh()
    story.tail(put(A), put(B))
    # There are more rows now, but of those that were there one of two vanishes.
    with pytest.raises(TooManyDeletes) as refused:
        story.load(story.page(A, B), max_deleted=0.4)
    assert "1 of 2 rows" in refused.value.message


def test_what_the_hint_of_too_many_deletes_says_is_enough(story):
    story.load(story.page(A, B, C))
    story.refresh()
    with pytest.raises(TooManyDeletes) as refused:
        story.load(story.page(A2), max_deleted=0.5)
    assert f"`connector snapshot {story.table} --yes`" in refused.value.hint
