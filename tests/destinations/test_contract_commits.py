"""What every destination promises of plans, commits and cursors; and so does the fake."""

from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pytest

from connector.core.cursors import START, Batch, Cursor, Quarantined, Span
from connector.core.state import Phase
from connector.errors import CursorMoved, DestinationRefused

from .items import A2, A, B, C
from .needs import checked
from .story import EPOCH, SEGMENT, SHARD, Story, delete, identity, put

pytestmark = pytest.mark.by_turns("make", always="fake")


def test_a_table_without_a_plan_has_no_state(destination):
    assert destination.read("orders") is None
    assert destination.tables() == []
    assert checked(destination)
    destination.reset("orders", drop=True)
    with pytest.raises(DestinationRefused):
        list(destination.rows("orders"))


def test_a_plan_seeds_every_cursor(destination):
    story = Story(destination)
    planned = story.plan()
    state = story.state()
    assert state == planned
    assert state.cursors == {SEGMENT: START, SHARD: START}
    assert (state.generation, state.phase, state.plan_id) == (1, Phase.LOADING, "plan-1")
    assert state.identity == identity()
    assert (state.target, state.segments) == ("orders", 1)
    assert state.commit == state.start_commit
    assert {name: column.type.kind for name, column in state.columns.items()} == {"id": "string"}
    assert destination.tables() == ["orders"]
    story.shows()


def test_a_plan_that_replaces_another_plan_than_the_current_one_is_refused(story):
    for replaces in (None, "plan-0"):
        with pytest.raises(CursorMoved):
            Story(story.destination).plan("rival", replaces)
    with pytest.raises(CursorMoved):
        Story(story.destination, table="unknown", target="u").plan("rival", "plan-1")
    assert story.state().plan_id == "plan-1"


def test_two_tables_cannot_share_a_target(story):
    with pytest.raises(DestinationRefused):
        Story(story.destination, table="other", target="Orders").plan()
    assert story.destination.read("other") is None


def test_a_commit_replaces_whole_items_and_deletes(story):
    story.tail(put(A), put(B | {"extra": {"S": "x"}}))
    story.shows(A, B | {"extra": {"S": "x"}})
    committed = story.tail(put({"id": {"S": "b"}}), delete(A), put(C), delete({"id": {"S": "q"}}))
    assert (committed.written, committed.deleted, committed.quarantined) == (2, 1, 0)
    story.shows({"id": {"S": "b"}}, C)


def test_changes_of_one_key_in_one_batch_are_folded_to_the_last(story):
    a3 = {"id": {"S": "a"}, "new": {"BOOL": True}}
    story.tail(put(A), put(A2), delete(A), put(B), put(a3), put(C), delete(C), delete(B), put(B))
    story.shows(a3, B)
    story.tail(put(A), delete(A), put(B), put(C), delete(C))
    story.shows(B)


def test_a_commit_number_is_used_once(story):
    numbers = [story.state().commit]
    numbers += [story.tail(put(A)).commit, story.tail(put(B)).commit]
    numbers += [story.load(story.page(C)).commit]
    assert story.state().commit == numbers[-1]
    numbers += [story.refresh().commit, story.tail(put(A)).commit]
    assert numbers == sorted(set(numbers))


def test_a_commit_moves_its_cursors(story):
    seen = EPOCH + timedelta(hours=1)
    spans = [
        Span(SHARD, START, Cursor("7", seen_at=seen)),
        Span("shard/b", None, Cursor(parent="a", seen_at=seen)),
    ]
    story.tail(spans=spans)
    cursors = story.state().cursors
    assert cursors == {SEGMENT: START, SHARD: Cursor("7"), "shard/b": START}
    assert (cursors["shard/b"].parent, cursors["shard/b"].seen_at) == ("a", seen)
    story.tail(spans=[Span("shard/b", START, Cursor(None, True))])
    cursor = story.state().cursors["shard/b"]
    assert (cursor.done, cursor.parent, cursor.seen_at) == (True, "a", seen)


def test_a_cursor_that_was_only_seen_stays_equal(story):
    later = EPOCH + timedelta(days=1)
    story.tail(spans=[Span(SHARD, START, Cursor(seen_at=later))])
    story.tail(spans=[Span(SHARD, START, Cursor("9"))])
    assert story.state().cursors[SHARD].seen_at == later


@pytest.mark.parametrize(
    "wrong",
    [
        {"spans": [Span(SHARD, Cursor("5"), Cursor("9"))]},
        {"spans": [Span(SHARD, Cursor(None, True), Cursor("9"))]},
        {"spans": [Span(SHARD, None, Cursor("9"))]},
        {"spans": [Span("shard/unknown", START, Cursor("9"))]},
        {"spans": [Span(SHARD, START, Cursor("9")), Span("shard/b", Cursor("1"), Cursor("2"))]},
        {"generation": 2},
        {"plan_id": "rival"},
        {"table": "unknown"},
    ],
)
def test_a_batch_from_somewhere_else_leaves_no_trace(story, wrong):
    story.tail(put(B))
    story.cursor = START
    story.destination.commit(
        Batch("orders", 1, "plan-1", [Span(SHARD, Cursor("1"), START)], pa.table({}))
    )
    before = story.state()
    bad = [Quarantined(SHARD, "reason", "{}")]
    with pytest.raises(CursorMoved):
        story.tail(put(A | {"new": {"S": "x"}}), delete(B), quarantined=bad, **wrong)
    assert story.state() == before
    story.shows(B)


def test_a_batch_is_committed_once(story):
    batch = story.batch(put(A))
    story.destination.commit(batch)
    with pytest.raises(CursorMoved):
        story.destination.commit(batch)
    assert story.state().cursors[SHARD] == Cursor("1")


def test_an_empty_batch_moves_cursors_only(story):
    committed = story.tail(spans=[Span(SHARD, START, Cursor("3"))])
    assert (committed.written, committed.deleted) == (0, 0)
    assert story.state().cursors[SHARD].token == "3"
    story.shows()


def test_an_older_generation_cannot_commit(story):
    stale = story.batch(put(A))
    story.refresh()
    with pytest.raises(CursorMoved):
        story.destination.commit(stale)


def test_consistency_never_moves_back(story):
    story.load(story.page(A))
    assert story.state().consistent_since is None
    story.tail(consistent_since=EPOCH)
    story.tail(consistent_since=EPOCH + timedelta(hours=1))
    story.tail()
    assert story.state().consistent_since == EPOCH
    assert story.refresh().consistent_since is None


def test_records_that_cannot_be_stored_are_kept(story):
    bad = [Quarantined(SHARD, "reason", '{"raw":1}', '["a"]', "17"), Quarantined(SHARD, "why", "")]
    assert story.tail(put(A), quarantined=bad).quarantined == 2
    assert story.state().quarantined == 2
    assert story.load(story.page(B), quarantined=bad[:1]).quarantined == 1
    assert story.state().quarantined == 3
    assert story.refresh().quarantined == 0


def test_a_record_without_a_number_is_kept_once(story):
    raws = ['{"raw":1}', '{"raw":1}', '{"raw":2}']
    bad = [Quarantined(SHARD, "reason", raw) for raw in raws]
    assert story.tail(put(A), quarantined=bad).quarantined == 2
    assert story.tail(put(B), quarantined=bad[:1]).quarantined == 0
    assert story.state().quarantined == 2
    elsewhere = Quarantined(SHARD + "b", "reason", raws[0])
    assert story.tail(put(A), quarantined=[*bad, elsewhere]).quarantined == 1
    assert story.refresh().quarantined == 0
    assert story.tail(put(A), quarantined=bad).quarantined == 2


@pytest.mark.parametrize("drop", [True, False])
def test_a_reset_forgets_the_state(story, drop):
    story.load(story.page(A, B | {"v": {"M": {}}}))
    last = story.state().commit
    story.destination.reset("orders", drop)
    assert story.destination.read("orders") is None
    assert story.destination.tables() == []
    again = Story(story.destination)
    state = again.plan()
    assert state.generation == 1
    assert drop or state.start_commit > last
    again.tail(put(C))
    again.load(again.page(A2))
    again.shows(A2, C)


def test_tables_do_not_touch_each_other(story):
    other = Story(story.destination, table="other", target="other")
    other.plan()
    story.tail(put(A), delete(B))
    other.tail(put(B))
    other.load(other.page(B, C))
    story.load(story.page(B, C))
    assert story.destination.tables() == ["orders", "other"]
    story.shows(A, C)
    other.shows(B, C)
    story.destination.reset("orders", drop=True)
    other.shows(B, C)


def test_a_problem_is_remembered(story):
    before = story.state()
    story.destination.note("orders", "HistoryLost: shard a")
    assert story.state() == replace(before, problem="HistoryLost: shard a")
    story.destination.note("orders", None)
    story.destination.note("unknown", "nothing happens")
    assert story.state() == before


def test_finished_partitions_can_be_forgotten(story):
    story.tail(spans=[Span("shard/b", None, START)])
    story.tail(spans=[], forgotten=["shard/b"])
    assert set(story.state().cursors) == {SEGMENT, SHARD}
    with pytest.raises(CursorMoved):
        story.tail(spans=[Span("shard/b", START, Cursor("1"))])


def test_rows_are_counted(story):
    assert story.destination.count("orders") == 0
    story.tail(put(A), put(B))
    assert story.destination.count("orders") == 2
    with pytest.raises(DestinationRefused):
        story.destination.count("unknown")


def test_a_table_may_have_any_name(destination):
    story = Story(destination, table='t"; DROP TABLE x; -- %s', target='select "it" %s; --')
    story.plan()
    story.tail(put(A))
    story.load(story.page(B))
    story.shows(A, B)
    assert destination.tables() == [story.table]
    destination.reset(story.table, drop=True)
    assert destination.tables() == []
