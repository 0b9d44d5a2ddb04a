"""What every destination promises. One suite for all of them, and for the fake."""

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.core.cursors import START, Batch, Cursor, Quarantined, Span
from connector.core.fold import Deletes
from connector.core.keys import KeyAttribute
from connector.core.names import SERVICE
from connector.core.rows import field_of, schema_of
from connector.core.schema import Kind
from connector.core.state import Load, Phase
from connector.errors import CursorMoved, DestinationRefused, TooManyDeletes

from .fake import FakeDestination
from .story import EPOCH, SEGMENT, SHARD, Story, delete, identity, put, text_of

A = {"id": {"S": "a"}, "n": {"N": "1"}}
A2 = {"id": {"S": "a"}, "n": {"N": "2"}}
B = {"id": {"S": "b"}, "n": {"N": "3"}}
C = {"id": {"S": "c"}, "n": {"N": "4"}}

VALUES = {
    "S": {"S": 'text "quoted" \u0000 \u001f / é \U0001f600'},
    "empty S": {"S": ""},
    "integer": {"N": "-42"},
    "int64": {"N": "9223372036854775807"},
    "beyond int64": {"N": "9223372036854775808"},
    "decimal": {"N": "12.50"},
    "hundred": {"N": "100"},
    "zero": {"N": "-0.00"},
    "38 digits": {"N": "-1234567890123456789012345678901234567.8"},
    "tiny": {"N": "1E-130"},
    "huge": {"N": "9.99E+125"},
    "BOOL": {"BOOL": False},
    "B": {"B": "AAEC/w=="},
    "M": {"M": {"a": {"N": "1.50"}, "b": {"L": [{"NULL": True}, {"B": "/w=="}]}}},
    "empty M": {"M": {}},
    "L": {"L": [{"N": "1E-130"}, {"S": "x"}]},
    "SS": {"SS": ["b", "a"]},
    "NS": {"NS": ["10", "9.0"]},
    "BS": {"BS": ["/w==", "AA=="]},
    "NULL": {"NULL": True},
}

NAMES = [
    "a",
    "A",
    "é",
    "É",
    "a.b c\"d'e;--",
    "100% %s $1 ? {x}",
    "rowid",
    "select",
    "ctid",
    "nul\u0000name",
    "c0",
    "deleted",
    "changed_at",
    "rest",
    "item.x",
    "t",
    "s",
    "d",
    "n",
    "o",
    "_connector_staged",
    "_connector_outer",
    " ",
    "*",
    *SERVICE,
    "x" * 65_535,
]


def test_a_table_without_a_plan_has_no_state(destination):
    assert destination.read("orders") is None
    assert destination.tables() == []
    assert destination.check()
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


@pytest.mark.parametrize("first", VALUES)
def test_widening_a_column_keeps_every_value(story, first):
    names = [f"then {second}" for second in VALUES]
    one = {"id": {"S": "1"}} | dict.fromkeys(names, VALUES[first])
    two = {"id": {"S": "2"}} | dict(zip(names, VALUES.values(), strict=True))
    three = {"id": {"S": "3"}} | dict(zip(names, reversed(VALUES.values()), strict=True))
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


@pytest.mark.parametrize("schema", KEY_SCHEMAS)
@pytest.mark.parametrize("steps", ["all at once", "one by one"])
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
    for group in [changes] if steps == "all at once" else [[change] for change in changes[:8]]:
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


def test_a_table_may_have_any_name(destination):
    story = Story(destination, table='t"; DROP TABLE x; -- %s', target='select "it" %s; --')
    story.plan()
    story.tail(put(A))
    story.load(story.page(B))
    story.shows(A, B)
    assert destination.tables() == [story.table]
    destination.reset(story.table, drop=True)
    assert destination.tables() == []


def test_attributes_beyond_the_limit_are_kept_together(make):
    story = Story(make(max_columns=3))
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
    story = Story(make(max_columns=2))
    story.plan()
    plain = story.page({"id": {"S": "1"}, "a": {"S": "x"}})
    wide = {"id": {"S": "2"}, "a": {"S": "y"}, "b": {"S": "z"}}
    last = {"id": {"S": "3"}}
    story.tail(delete(last))
    story.load(plain, story.page(wide), story.page(last))
    story.shows({"id": {"S": "1"}, "a": {"S": "x"}}, wide)


ITEMS = st.builds(
    lambda key, value: {"id": {"S": key}} | ({"v": value} if value else {}),
    st.sampled_from("abcd"),
    st.sampled_from([None, *VALUES.values()]),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tail"), st.lists(st.tuples(st.booleans(), ITEMS), max_size=4)),
        st.tuples(st.just("load"), st.lists(st.lists(ITEMS, max_size=3), max_size=3)),
        st.tuples(st.just("refresh"), st.just([])),
    ),
    max_size=7,
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS, deletes=st.sampled_from([Deletes.APPLY, Deletes.SOFT]))
def test_any_history_ends_as_in_the_fake(make_real, steps, deletes):
    real = make_real()
    both = FakeDestination(), real
    texts = text_of(real)
    stories = [Story(destination, deletes=deletes, text=texts) for destination in both]
    for story in stories:
        story.plan()
    for step, content in steps:
        fake, real = [_told(story, step, content) for story in stories]
        assert fake == real
        assert stories[0].items() == stories[1].items()


def _told(story, step, content):
    if step == "refresh":
        return story.refresh().generation
    if step == "tail":
        committed = story.tail(*(delete(i) if gone else put(i) for gone, i in content))
    elif story.state().phase is Phase.LOADING:
        pages = [
            story.page(*{story.key(i): i for i in page}.values(), at=EPOCH + timedelta(hours=n))
            for n, page in enumerate(content)
            if page
        ]
        committed = story.load(*pages)
    else:
        return None
    return replace(committed, commit=0), story.state().cursors
