"""Bugs that other readers of DynamoDB Streams have shipped, each as a test named after it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from connector.core.cursors import Cursor
from connector.errors import BadAnswer, ConnectorError, HistoryLost, SourceRefused
from tests.rigs.scripted import faults
from tests.rigs.scripted.faults import Effect
from tests.rigs.scripted.scenario import (
    Before,
    Create,
    Delete,
    Drop,
    During,
    Fault,
    Put,
    Roll,
    RollAll,
    Split,
    Step,
    Trim,
    Unresolve,
    Wait,
    Write,
)

from .replica import Replica, planned


class Reenter(Step):
    """Something of the test's own, as a step."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.action = action

    def play(self, stage: Any) -> None:
        """Does it."""
        self.action()


def iterators(replica: Replica) -> set[tuple[str, str | None]]:
    """The kinds of iterators that were asked for, and from which number."""
    calls = replica.rig.calls.of("GetShardIterator")
    return {(c.parameters["ShardIteratorType"], c.parameters.get("SequenceNumber")) for c in calls}


def test_b1_shards_born_after_the_start_are_found_on_every_page_of_the_listing(
    replica: Replica,
) -> None:
    """Apache Camel listed once, one page, and went on after an expired iterator at null."""
    replica.stream.listing_page = 2
    planned(replica)
    for minute in range(5):
        replica.after(Write(5, seed=minute), Split(), Write(5, seed=minute + 9), minutes=minute)
    replica.play(Fault("expired_iterator", on="GetRecords", times=2))
    replica.follow(minutes=6)
    replica.sync()
    assert len(replica.stream.shards) == 11
    assert ("AFTER_SEQUENCE_NUMBER", None) not in iterators(replica)


def test_b2_a_child_is_never_opened_at_the_newest_record(replica: Replica) -> None:
    """Teleport opened new children at LATEST, and lost what was in them already."""
    planned(replica, Put("a", 2), Roll(late=60), Put("a", 3), Put("b", 3), Delete("old 1"))
    replica.sync()
    assert "LATEST" not in {kind for kind, _ in iterators(replica)}


def test_b3_parent_and_child_are_not_read_in_parallel(replica: Replica) -> None:
    """The artie reader read both at once, and the older change could come last."""
    replica.settings["tail.readers"] = 8
    planned(replica)
    for n in range(6):
        replica.play(Put("a", n), Split(), Put("a", n + 10), Delete("b"), Put("b", n))
    slow = faults.delay(0.02)
    replica.rig.faults.add(slow, on="GetRecords", times=5, shard=replica.shard("0").id)
    replica.sync()


def test_b4_a_child_does_not_wait_for_a_parent_that_was_trimmed(replica: Replica) -> None:
    """The Spanner migration tool waited for ever."""
    replica.play(Put("a", 1), Roll(), Wait(hours=25), Put("a", 2))
    (child,) = replica.stream.listed()
    assert child.parent is not None
    before = replica.rig.clock.now()
    replica.sync()
    assert replica.rig.clock.now() - before < 60


def test_b5_a_shard_whose_parent_is_gone_is_no_crash(replica: Replica) -> None:
    """bloop looked the parent up in the listing, and failed."""
    replica.settings["tail.idle_poll_seconds"] = 600
    planned(replica, Roll(), Put("a", 2))
    replica.follow(hours=26)
    assert replica.shard("0") not in replica.stream.listed()
    replica.play(Put("a", 3))
    replica.sync()


def test_b6_children_of_finished_parents_are_found_after_a_restart(replica: Replica) -> None:
    """Data Prepper missed them; and between its export and its stream, changes could fall."""
    replica.play(Before(30, size=60_000), During("Scan", Put("old 3", -3), Delete("old 4")))
    replica.play(During("Scan", Roll(), Put("old 5", -5), after=1))
    replica.scan_pages = 1
    replica.sync()
    replica.play(Put("a", 2), Roll(late=100))
    assert replica.crash("witness.committed:1")
    assert replica.state().shards[replica.shard("0.0").id].done
    replica.play(Put("a", 3))
    replica.sync()


def test_b7_changes_in_the_second_of_the_snapshot_count(replica: Replica) -> None:
    """Conduit dropped changes with the snapshot's second, and sorted the others by seconds."""
    replica.play(Before(5), During("Scan", Put("old 1", 7), Put("old 1", 8), Delete("old 2")))
    replica.play(During("Scan", Put("old 2", 9), Put("c", 1), Put("c", 2)))
    replica.sync()
    assert replica.contents()["old 1"]["n"] == 8


def test_b7_a_shard_that_fails_fails_the_run(replica: Replica) -> None:
    """In Conduit one shard's reader just stopped, and the others went on as if all were well."""
    replica.play(Drop(), Create(shards=4), Before(3))
    replica.sync()
    replica.play(Write(20, seed=7))
    third = replica.shard("2").id
    replica.rig.faults.add(faults.access_denied(), on="GetRecords", times=99, shard=third)
    replica.settings["tail.readers"] = 4
    replica.fails(SourceRefused, match="AccessDenied")
    replica.rig.faults.clear()
    replica.sync()


def test_b7_a_finished_shard_is_not_read_again(replica: Replica) -> None:
    """Conduit forgot its position at a shard's end, and began the shard anew."""
    planned(replica, Put("a", 2), RollAll(), Put("a", 3))
    replica.sync()
    replica.rig.calls.clear()
    replica.play(Put("a", 4))
    replica.sync()
    assert set(replica.rig.calls.per_shard()) == {replica.shard("0.0").id}


def test_b8_a_listed_shard_that_no_longer_resolves(replica: Replica) -> None:
    """FLINK-26890: DescribeStream lists what GetShardIterator does not find."""
    replica.play(Put("a", 1), Roll(), Wait(hours=23), Put("a", 2), Unresolve("0"))
    replica.sync()


def test_b9_a_trimmed_cursor_ends_the_run(replica: Replica) -> None:
    """floci asked with the same cursor for ever, and only its log knew."""
    planned(replica, Wait(hours=25), Trim())
    calls = len(replica.rig.calls)
    lost = replica.fails(HistoryLost)
    assert lost.exit_code == 3 and replica.state().problem
    assert len(replica.rig.calls) - calls < 20


def test_b10_a_late_writer_cannot_undo_a_shards_end(stored: Replica) -> None:
    """In the KCL a late checkpoint replaced SHARD_END, and children were read again."""
    planned(stored, Put("a", 2), Roll(), Put("a", 3))
    parent = stored.shard("0").id
    done: list[Cursor] = []

    def overtake() -> None:
        stored.run().sync(lambda tail: tail.caught_up())
        done.append(stored.state().shards[parent])

    stored.checker.runs_at_once = 2
    # The first run has read a page when a second one reads and commits everything.
    stored.play(During("GetRecords", Reenter(overtake), after=1))
    stored.sync()
    assert done[0].done and stored.state().shards[parent] == done[0]


@pytest.mark.parametrize(
    "answer",
    [
        faults.error("ValidationException", "Invalid ShardId in ShardIterator"),
        faults.without("NextShardIterator"),
        faults.trimmed(),
    ],
    ids=["invalid shard id", "no next iterator", "trimmed"],
)
def test_b11_what_emulators_answer_at_random(replica: Replica, answer: Effect) -> None:
    """localstack met each of these from its emulator; none is an end, and none is a loss."""
    planned(replica, Put("a", 2), Put("b", 2))
    replica.rig.faults.add(answer, on="GetRecords", times=2, after=1)
    replica.sync()
    replica.play(Put("a", 3), Roll(), Put("a", 4))
    replica.rig.faults.add(answer, on="GetRecords", times=2)
    replica.sync()


WRONG = {
    "empty": faults.wrong_body(b""),
    "html": faults.html(),
    "cut": faults.cut_body(0.7),
    "null": faults.wrong_body(b"null"),
    "array": faults.wrong_body(b"[]"),
    "object": faults.wrong_body(b"{}"),
}


@pytest.mark.by_turns("operation")
@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("operation", ["Scan", "GetRecords", "DescribeStream", "GetShardIterator"])
def test_b12_a_wrong_body_is_no_answer(replica: Replica, operation: str, body: Effect) -> None:
    """botocore turns each of these 200s into an empty success; readers took that for an end."""
    replica.play(Before(3), Put("a", 1), Roll(), Put("a", 2))
    replica.rig.faults.add(body, on=operation, times=3)
    replica.sync()
    replica.play(Put("a", 3), Roll(), Put("b", 1))
    replica.rig.faults.add(body, on=operation, times=3)
    replica.sync()


@pytest.mark.parametrize("operation", ["Scan", "GetRecords"])
def test_b12_a_wrong_body_that_stays_ends_the_run(replica: Replica, operation: str) -> None:
    """Neither a segment nor a shard is done with it."""
    replica.play(Before(3), Put("a", 1), Roll(), Put("a", 2), Fault("html", operation, 10**6))
    error: ConnectorError = replica.fails(BadAnswer)
    assert error.exit_code == 4
    what = {"Scan": "segment", "GetRecords": "shard"}[operation]
    cursors = replica.state().cursors
    assert not any(cursor.done for name, cursor in cursors.items() if name.startswith(what))
    replica.rig.faults.clear()
    replica.sync()


def test_b12_an_error_that_is_not_dynamodbs_is_tried_again(replica: Replica) -> None:
    """A proxy's page with a 403 or 400 is no answer either, and no reason to give up."""
    replica.play(Before(3), Put("a", 1))
    replica.rig.faults.add(faults.cut_body(0.6), on="GetRecords", times=2)
    replica.play(Fault("limit_exceeded", "GetRecords", times=2))
    page = faults.wrong_body(b"<html>Forbidden</html>", "text/html")
    replica.rig.faults.add(lambda a: replace(page(a), status=403), on="Scan", times=2)
    replica.sync()


def test_b13_one_key_several_times_in_one_batch(stored: Replica) -> None:
    """DuckDB keeps the first of two rows with one key, and says nothing: there must be one."""
    stored.play(Before(3), *[Put("a", n) for n in range(5)], Delete("b"), Put("b", 1))
    stored.sync()
    stored.play(*[Put("a", n) for n in (9, 8, 7)], Delete("b"), Put("b", 2), Delete("old 1"))
    stored.sync()
    assert stored.contents()["a"]["n"] == 7
