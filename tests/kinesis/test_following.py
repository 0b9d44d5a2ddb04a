"""What a table looks like after changes that come late, twice, in any order, or not at all."""

from typing import Any

import pytest

from connector.core.state import Phase
from connector.errors import (
    BadAnswer,
    ConfigError,
    ForeignRecord,
    HistoryLost,
    SourceRefused,
    StreamDisabled,
)
from tests.rigs.scripted import faults
from tests.rigs.scripted.scenario import Before, Delete, Expire, Put, Update

from .drawn import FAULTS
from .replica import Followed

pytestmark = pytest.mark.by_turns("each")


def started(replica: Followed, *steps: object) -> Followed:
    """A replica that is equal, some time after its plan, and then what happens next."""
    replica.play(Before(3), Put("a", 1))
    replica.sync()
    replica.rig.clock.advance(hours=1)
    replica.play(*steps)
    return replica


def test_writes_of_every_kind_arrive(each):
    started(each, Put("b", 1), Update("a", 2), Delete("old 1"), Put("c", 3), Expire("c"))
    state = each.sync()
    each.assert_equal()
    assert state.phase is Phase.TAILING
    assert each.looked_up() == 1  # "a", which was put just before the plan


def test_changes_come_in_any_order_and_repeatedly(each):
    started(each)
    each.kinesis.holding = True
    each.play(Put("x", 1), Put("x", 2), Put("y", 1), Delete("y"), Put("a", 7), Put("x", 3))
    each.kinesis.deliver([*each.kinesis.held[::-1], *each.kinesis.held[:2]])
    each.sync()
    each.assert_equal()


def test_a_delete_is_not_undone_by_an_older_put(each):
    started(each, Put("x", 1))
    each.sync()
    each.kinesis.holding = True
    each.play(Put("x", 2), Delete("x"))
    put, delete = each.kinesis.held
    each.kinesis.deliver([delete])
    each.sync()
    assert "x" not in each.contents()
    each.kinesis.deliver([put, put])
    each.sync()
    assert "x" not in each.contents()
    each.assert_equal()


def test_a_put_that_is_older_than_any_tombstone_is_read_by_key(each):
    """Nothing is left of the delete by then but that there is no item."""
    started(each)
    each.kinesis.holding = True
    each.play(Put("x", 1), Delete("x"))
    put, delete = each.kinesis.held
    each.kinesis.deliver([delete])
    each.sync()
    for _ in range(8):
        each.rig.clock.advance(hours=20)
        each.play(Put("other", each.rig.clock.now()))
        each.kinesis.deliver(each.kinesis.held[1:])
        each.sync()
    assert each.destination.read(each.table) is not None
    each.kinesis.deliver([put])
    each.sync()
    each.assert_equal()


def test_tombstones_live_as_long_as_the_retention(replica):
    started(replica, Put("x", 1), Delete("x"))
    replica.sync()
    assert tombstones(replica) == 1
    for hours in (20, 20):
        replica.rig.clock.advance(hours=hours)
        replica.play(Put("other", hours))
        replica.sync()
    assert tombstones(replica) == 0


def tombstones(replica: Followed) -> int:
    """How many there are."""
    from tests.rigs import duckdb_file

    ((found,),) = duckdb_file.read(replica.file, "SELECT count(*) FROM _connector.tombstones")
    return found


def test_changes_of_one_millisecond_are_read_by_key(each):
    started(each, Put("x", 0))
    each.sync()
    before = each.looked_up()
    each.kinesis.precision = "MILLISECOND"
    each.kinesis.holding = True
    each.play(Put("x", 1), Put("x", 2))
    each.kinesis.deliver(each.kinesis.held[::-1])
    each.sync()
    each.assert_equal()
    assert each.looked_up() == before + 1


@pytest.mark.parametrize("steps", [(Put("x", 1), Delete("x")), (Delete("x"), Put("x", 1))])
def test_an_exact_time_and_a_whole_second_are_tied(each, steps):
    """Nothing tells which was first, whichever arrives first."""
    started(each, Put("x", 0))
    each.sync()
    each.rig.clock.advance(2.5)
    each.kinesis.holding = True
    for precision, step in zip(("MICROSECOND", "SECOND"), steps, strict=True):
        each.kinesis.precision = precision
        each.play(step)
    before = each.looked_up()
    for sent in each.kinesis.held[::-1]:
        each.kinesis.deliver([sent])
        each.sync()
        each.assert_equal()
    assert each.looked_up() == before + 1


@pytest.mark.parametrize("precision", ["MILLISECOND", "SECOND"])
def test_a_tie_with_what_is_stored_is_read_by_key(each, precision):
    started(each)
    each.kinesis.precision = precision
    each.kinesis.holding = True
    each.play(Put("x", 1), Put("x", 2), Put("y", 1))
    first, second, other = each.kinesis.held
    each.kinesis.deliver([second, other])
    each.sync()
    each.kinesis.deliver([first])
    before = each.looked_up()
    each.sync()
    each.assert_equal()
    assert each.looked_up() == before + 1


def test_a_record_that_comes_again_changes_nothing(replica):
    started(replica, Put("x", 1))
    replica.kinesis.deliver(replica.kinesis.written[-1:] * 2)
    replica.sync()
    before = replica.looked_up()
    replica.assert_equal()
    assert before == 1  # only what was put just before the plan


def test_a_change_that_never_arrives_is_found_by_verify(replica):
    started(replica)
    replica.kinesis.skips = lambda sent: True
    replica.play(Put("big", 1))
    replica.kinesis.skips = lambda sent: False
    replica.sync()
    assert replica.contents().keys() ^ replica.truth().keys() == {"big"}


@pytest.mark.parametrize("policy", ["soft", "ignore-ttl"])
def test_rows_of_deleted_items_stay_if_that_is_wanted(each, policy):
    each.keep(deletes=policy)
    started(each, Put("x", 1), Put("y", 1))
    each.sync()
    each.kinesis.holding = True
    each.play(Put("x", 2), Expire("x"), Delete("y"))
    each.kinesis.deliver(each.kinesis.held[::-1])
    each.sync()
    each.assert_equal()


def test_rows_of_a_scan_count_as_of_the_plan(replica):
    """What was changed between the plan and an item's page is still to come, and wins."""
    replica.play(Before(3))
    replica.kinesis.holding = True
    replica.after(Put("old 1", 7), seconds=0.1)
    replica.rig.faults.add(faults.run(lambda: replica.pause(5)), on="Scan", times=1)
    replica.sync()
    replica.kinesis.deliver(replica.kinesis.held)
    replica.sync()
    replica.assert_equal()


def test_a_put_that_is_older_than_the_plan_does_not_replace_a_scanned_row(each):
    each.kinesis.holding = True
    each.play(Put("a", 1), Put("b", 1), Put("a", 2), Delete("b"))
    each.sync()
    each.kinesis.deliver(each.kinesis.held)
    each.sync()
    each.assert_equal()
    each.rig.clock.advance(hours=3)
    each.kinesis.deliver(each.kinesis.written)
    each.sync()
    each.assert_equal()


def test_a_full_refresh_goes_on_with_late_changes(each):
    started(each, Put("x", 1))
    each.sync()
    each.kinesis.holding = True
    each.play(Put("x", 2), Delete("x"), Put("y", 2))
    each.refresh()
    each.assert_equal()
    each.kinesis.deliver(each.kinesis.held[::-1])
    each.sync()
    each.assert_equal()


def test_binary_values_are_read_by_key(replica):
    """Whether they are encoded once or twice in a record cannot be seen."""
    started(replica, Put("x", 1, {"bytes": {"B": "aGVsbG8="}}))
    once = replica.looked_up()
    replica.sync()
    replica.assert_equal()
    assert replica.looked_up() == once + 1


def test_shards_split_and_merge(each):
    started(each, Put("x", 1))
    left, right = each.kinesis.split()
    each.play(*(Put(f"k{n}", 1) for n in range(20)))
    merged = each.kinesis.merge(left, right)
    each.play(*(Put(f"k{n}", 2) for n in range(10)), Delete("k15"))
    each.sync()
    each.assert_equal()
    state = each.state()
    assert {name for name, cursor in state.shards.items() if not cursor.done} == {merged.id}
    assert state.shards[merged.id].parents == (left.id, right.id)


def test_a_merged_shard_is_read_only_after_both_parents(virtual, tmp_path):
    replica = Followed(virtual, folder=tmp_path, shards=2)
    started(replica)
    left, right = replica.kinesis.open_shards()
    replica.play(*(Put(f"k{n}", 1) for n in range(20)))
    merged = replica.kinesis.merge(left, right)
    replica.play(*(Put(f"k{n}", 2) for n in range(20)))
    replica.rig.calls.clear()
    replica.sync()
    replica.assert_equal()
    read = [call.shard for call in replica.rig.calls.of("GetRecords")]
    last = max(n for n, shard in enumerate(read) if shard in (left.id, right.id))
    assert read.index(merged.id) > last


def test_a_listing_has_many_pages(replica):
    started(replica)
    replica.kinesis.listing_page = 2
    for _ in range(3):
        replica.kinesis.split()
    replica.play(*(Put(f"k{n}", 1) for n in range(20)))
    replica.sync()
    replica.assert_equal()


NO_ANSWERS = [*FAULTS, faults.without("NextShardIterator")]


def test_answers_that_are_none_lose_nothing(replica, subtests):
    started(replica)
    for number, fault in enumerate(NO_ANSWERS):
        with subtests.test(number=number):
            replica.play(Put("x", number), Put(f"y{number}", 2))
            rule = replica.rig.faults.add(fault, on="GetRecords", times=3)
            replica.sync()
            replica.assert_equal()
            assert rule.fired
        replica.rig.faults.clear()
        replica.rig.clock.advance(minutes=1)


def test_an_iterator_that_was_kept_too_long_is_renewed(virtual):
    replica = started(Followed(virtual), Put("x", 1))
    late = faults.run(lambda: replica.rig.clock.advance(minutes=6))
    replica.rig.faults.add(late, on="GetRecords", times=1)
    replica.sync()
    replica.assert_equal()
    errors = [call.error for call in replica.rig.calls.of("GetRecords")]
    assert errors.count("ExpiredIteratorException") == 1


# What is lost ----------------------------------------------------------------------------------


def test_what_was_trimmed_is_lost_though_nobody_says_so(replica):
    started(replica, Put("x", 1))
    replica.rig.clock.advance(hours=25)
    replica.fails(HistoryLost, "may have been trimmed")
    replica.keep(on_gap="resync")
    replica.sync()
    replica.assert_equal()


def test_a_longer_retention_is_as_long_as_the_stream_says(replica):
    replica.kinesis.hours = 24 * 7
    started(replica, Put("x", 1))
    replica.rig.clock.advance(hours=24 * 6)
    state = replica.sync()
    replica.assert_equal()
    assert state.retention is None or state.retention.days == 7
    replica.kinesis.hours = 48
    replica.play(Put("y", 1))
    replica.sync()
    assert replica.state().retention.days == 2
    replica.rig.clock.advance(hours=47.8)
    replica.fails(HistoryLost)


def test_a_stream_of_the_same_name_is_another_one(replica):
    started(replica)
    replica.rig.clock.advance(hours=1)
    replica.kinesis.recreate()
    replica.fails(HistoryLost, "The stream is now")


def test_a_stream_that_is_gone_is_history(replica):
    started(replica)
    del replica.rig.kinesis[replica.kinesis.arn]
    replica.fails(HistoryLost, "no longer exists")


def test_a_link_that_was_cut_is_read_to_its_end_and_then_needs_a_person(replica):
    started(replica, Put("x", 1))
    replica.kinesis.link = "DISABLED"
    replica.fails(StreamDisabled)
    replica.assert_equal()
    # Whatever was changed in between is in no stream, and no later run may overlook that.
    replica.play(Put("y", 1))
    replica.kinesis.link = "ACTIVE"
    replica.fails(StreamDisabled)
    replica.refresh()
    replica.assert_equal()


def test_a_link_that_is_being_made_is_waited_for(replica):
    replica.play(Before(2))
    replica.kinesis.link = "ENABLING"
    replica.listeners.append(lambda: setattr(replica.kinesis, "link", "ACTIVE"))
    replica.sync()
    replica.assert_equal()


# What is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["", "DISABLED", "ENABLE_FAILED", "DISABLING"])
def test_a_stream_that_gets_nothing_of_the_table_is_refused(replica, link):
    replica.kinesis.link = link
    error = replica.fails(SourceRefused, "does not send its changes")
    assert "enable-kinesis-streaming-destination" in error.hint
    assert replica.destination.read(replica.table) is None
    assert replica.rig.calls.count("Scan") == replica.rig.calls.count("GetRecords") == 0


def test_a_stream_of_another_table_is_refused(replica):
    other = replica.rig.create_table("others", replica.model.schema, view=None)
    theirs = replica.rig.add_kinesis(other.name)
    mine, replica.kinesis = replica.kinesis, theirs
    replica.keep()
    error = replica.fails(SourceRefused, "but to")
    assert mine.arn in error.message and mine.arn in error.hint


def test_a_stream_in_another_region_is_refused(replica):
    replica.kinesis.arn = replica.kinesis.arn.replace("us-west-2", "eu-central-1")
    replica.keep()
    with pytest.raises(ConfigError, match="eu-central-1"):
        replica.run()


STREAM = "arn:aws:dynamodb:us-west-2:000000000000:table/orders/stream/2026-01-01T00:00:00.000"


def foreign(**changed: object):
    """Changes some members of a record."""
    return lambda content: {**content, **changed}


FOREIGN = [
    (foreign(tableName="others"), "of the table others"),
    (foreign(eventSource="aws:s3"), "DynamoDB did not write"),
    (foreign(awsRegion="eu-central-1"), "another Region"),
    (
        foreign(eventSourceARN="arn:aws:dynamodb:us-west-2:1:table/others/stream/x"),
        "another Region or account",
    ),
    (
        foreign(tableName="", eventSourceARN=STREAM.replace("orders", "orders2")),
        "another Region or account",
    ),
    (
        foreign(tableName="", eventSourceARN=STREAM.replace("us-west-2", "eu-central-1")),
        "another Region or account",
    ),
    (foreign(tableName="others", eventSourceARN=STREAM), "of the table others"),
    (foreign(tableName=""), "of which table"),
    (foreign(tableName=None), "of which table"),
    (foreign(tableName=5), "of which table"),
    (lambda content: {"hello": 1}, "DynamoDB did not write"),
    (lambda content: {"eventName": "INSERT"}, "DynamoDB did not write"),
]


def test_records_of_anything_else_stop_the_table(replica, subtests):
    started(replica)
    before = replica.contents()
    for number, (change, says) in enumerate(FOREIGN):
        with subtests.test(says):
            replica.play(Put("good", number))
            replica.kinesis.change = change
            replica.play(Put("bad", number))
            error = replica.fails(ForeignRecord, says)
            assert error.exit_code == 3
            assert replica.contents() == before
        replica.kinesis.change = lambda content: content
        withdrawn(replica)
    replica.play(Delete("bad"))
    replica.sync()
    replica.assert_equal()


def withdrawn(replica: Followed) -> None:
    """The newest record was never sent."""
    (shard,) = replica.kinesis.open_shards()
    shard.records.pop()


@pytest.mark.parametrize("arn", [STREAM, STREAM.partition("/stream/")[0]])
def test_a_record_in_the_shape_of_a_stream_names_its_table_by_its_arn(each, arn):
    started(each)

    def shaped(content: dict[str, Any]) -> dict[str, Any]:
        about = {**content["dynamodb"], "SequenceNumber": "7", "StreamViewType": "NEW_IMAGE"}
        about["ApproximateCreationDateTime"] //= 1_000_000
        about.pop("ApproximateCreationDateTimePrecision")
        named = {name: value for name, value in content.items() if name != "tableName"}
        return {**named, "eventVersion": "1.1", "eventSourceARN": arn, "dynamodb": about}

    each.kinesis.change = shaped
    each.play(Put("x", 1), Put("y", 1), Put("x", 2), Delete("y"), Put("z", 1))
    state = each.sync()
    each.assert_equal()
    assert state.quarantined == 0


def test_what_is_no_record_stops_the_table(replica, subtests):
    started(replica)
    for data in (b"hello", b"", b"[]", b"\xf3\x89\x9a\xc2\x0a\x01k", b"\xff\xfe", b"7"):
        with subtests.test(data=data):
            replica.kinesis.append(data)
            error = replica.fails(ForeignRecord, "DynamoDB did not write")
            assert "hello" not in str(error)
        withdrawn(replica)
    replica.sync()
    replica.assert_equal()


# What cannot be stored -------------------------------------------------------------------------


def about(**changed: object):
    """Changes some members of what a record says of the change."""
    return lambda content: {**content, "dynamodb": {**content["dynamodb"], **changed}}


BAD = [
    (about(NewImage={"id": {"S": "x"}, "n": {"ZZ": "1"}}), "type"),
    # Seconds that are called microseconds.
    (about(ApproximateCreationDateTime=1_767_225_600), "time is not in"),
    (about(ApproximateCreationDateTime="soon"), "time is not in"),
    (about(ApproximateCreationDateTime=None), "time is not in"),
    (about(ApproximateCreationDateTimePrecision="NANOSECOND"), "time is not in"),
    (about(ApproximateCreationDateTimePrecision="MILLISECOND"), "time is not in"),
    (about(ApproximateCreationDateTimePrecision="SECOND"), "time is not in"),
    (lambda content: {**content, "eventName": "GUESS"}, "unknown event"),
]


def test_what_cannot_be_stored_is_quarantined_by_its_key(each, subtests):
    started(each, Put("x", 1))
    each.sync()
    for number, (change, why) in enumerate(BAD):
        with subtests.test(why):
            assert "x" in each.contents()
            each.kinesis.change = change
            each.play(Put("x", 2))
            state = each.sync()
            assert state.quarantined == number + 1
            assert "x" not in each.contents()
            each.kinesis.change = lambda content: content
            each.rig.clock.advance(1)
            each.play(Put("x", 3))
            each.sync()
            each.assert_equal()
        each.rig.clock.advance(1)


def test_a_record_that_was_cut_off_is_quarantined(replica):
    started(replica)
    replica.kinesis.append(b'{"awsRegion":"us-west-2","eventID":"1","eventNa')
    assert replica.sync().quarantined == 1


def test_a_bad_record_that_is_older_than_the_row_harms_nothing(each):
    started(each)
    each.kinesis.holding = True
    each.kinesis.change = about(NewImage={"id": {"S": "x"}, "n": {"ZZ": "1"}})
    each.play(Put("x", 1))
    each.kinesis.change = lambda content: content
    each.play(Put("x", 2))
    bad, good = each.kinesis.held
    each.kinesis.deliver([good])
    each.sync()
    each.kinesis.deliver([bad])
    state = each.sync()
    each.assert_equal()
    assert state.quarantined == 0


@pytest.mark.by_turns("says")
@pytest.mark.parametrize("says", [True, False])
@pytest.mark.parametrize("precision", ["SECOND", "MILLISECOND", "MICROSECOND"])
def test_times_of_each_precision_are_understood(replica, precision, says):
    replica.kinesis.precision, replica.kinesis.says_precision = precision, says
    started(replica, Put("x", 1))
    replica.rig.clock.advance(1)
    replica.play(Put("x", 2), Delete("old 1"))
    replica.sync()
    replica.assert_equal()


def test_a_record_in_which_only_replication_changed_is_left_out(replica):
    started(replica, Put("x", 1))
    replica.sync()
    replica.rig.clock.advance(1)
    replica.play(Put("x", 1, {"aws:rep:updatetime": {"N": "5"}}))
    replica.sync()
    assert replica.contents()["x"] == {"id": "x", "n": 1}


def test_a_wrong_listing_is_not_believed(replica):
    replica.play(Before(1))
    replica.rig.faults.add(faults.wrong_body(b"{}"), on="ListShards", times=2)
    replica.rig.faults.add(faults.wrong_body(b"{}"), on="DescribeStreamSummary", times=2)
    replica.sync()
    replica.assert_equal()
    replica.settings["source.retry_seconds"] = 5
    fault = faults.wrong_body(b"{}")
    replica.rig.faults.add(fault, on="DescribeKinesisStreamingDestination", times=10**6)
    replica.fails(BadAnswer)
