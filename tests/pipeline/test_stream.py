"""Tail: shards are read in order and to their proven end, whatever the stream answers."""

import pytest

from connector.errors import BadAnswer, QuarantineLimit, StreamDisabled, Throttled
from connector.pipeline.following.tail import Tail
from tests.rigs.scripted import SequenceNumbers, faults

from .replica import Replica, change, key, order


@pytest.fixture
def synced(replica: Replica) -> Replica:
    """A replica of twenty orders that is up to date."""
    replica.model.put(*(order(n, 0) for n in range(20)))
    replica.sync()
    replica.assert_equal()
    replica.rig.calls.clear()
    return replica


def test_wrong_answers_without_end_move_no_cursor(synced: Replica) -> None:
    change(synced)
    before = synced.state().shards
    synced.settings["source.retry_seconds"] = 0.2
    synced.rig.faults.add(faults.without("Records"), on="GetRecords", times=10_000)
    with pytest.raises(BadAnswer):
        synced.sync()
    assert synced.state().shards == before
    synced.rig.faults.clear()
    synced.sync()
    synced.assert_equal()


def test_throttling_without_end_is_to_be_tried_again_later(synced: Replica) -> None:
    change(synced)
    synced.settings["source.retry_seconds"] = 0.2
    synced.rig.faults.add(faults.limit_exceeded(), on="GetRecords", times=10_000)
    with pytest.raises(Throttled) as caught:
        synced.sync()
    assert caught.value.exit_code == 4


def test_a_child_is_read_from_its_beginning_and_only_after_its_parent_ended(
    synced: Replica,
) -> None:
    for round_ in range(1, 5):
        change(synced, round_)
        synced.model.stream.split() if round_ % 2 else synced.model.stream.roll()
    synced.sync()
    synced.assert_equal()
    calls = list(synced.rig.calls)
    parents = {shard.id: shard.parent for shard in synced.model.stream.shards.values()}
    read = [call.shard for call in calls if call.operation == "GetRecords"]
    for child, parent in parents.items():
        if parent is None:
            continue
        assert read.index(child) > max(i for i, shard in enumerate(read) if shard == parent)
        kinds = {
            call.parameters["ShardIteratorType"]
            for call in calls
            if call.operation == "GetShardIterator" and call.shard == child
        }
        assert "LATEST" not in kinds
        assert "TRIM_HORIZON" in kinds


def test_the_last_page_of_a_closed_shard_counts(synced: Replica) -> None:
    (shard,) = synced.model.stream.open_shards()
    synced.model.put(*(order(f"late {n}", n) for n in range(1500)))
    synced.model.stream.roll(shard)
    synced.sync()
    assert synced.state().shards[shard.id].done
    synced.assert_equal()


def test_many_rollovers_of_one_key_end_with_its_newest_value(synced: Replica) -> None:
    for n in range(15):
        synced.model.put(order(0, n))
        synced.model.stream.roll()
    synced.sync()
    assert synced.numbers()["0"] == 14
    synced.assert_equal()


def test_a_child_that_is_listed_late_is_found(synced: Replica) -> None:
    change(synced)
    synced.model.stream.roll(unlisted_listings=3)
    change(synced, 2)
    synced.sync()
    # One run may end before the listing shows the child; the next ones may not lose it.
    synced.sync()
    synced.sync()
    synced.assert_equal()


def test_many_empty_pages_before_the_records_are_no_end(synced: Replica) -> None:
    change(synced)
    synced.settings |= {"tail.poll_seconds": 0.001, "tail.idle_poll_seconds": 0.001}
    synced.settings |= {"tail.idle_requests": 1000}
    synced.rig.faults.add(faults.empty_page(), on="GetRecords", times=200)
    synced.sync(lambda tail: synced.rig.calls.count("GetRecords") > 202)
    synced.assert_equal()


def test_the_newest_of_many_changes_of_a_key_wins_within_one_batch(synced: Replica) -> None:
    synced.model.put(*(order("often", n) for n in range(50)))
    synced.model.delete(key("often"))
    synced.model.put(order("often", 99))
    synced.model.put(order("gone", 1))
    synced.model.delete(key("gone"))
    synced.sync()
    synced.assert_equal()
    assert synced.numbers()["often"] == 99


def test_an_attribute_that_vanished_becomes_null(synced: Replica) -> None:
    synced.model.update(key(3), {"other": {"S": "x"}}, removed=["n"])
    synced.sync()
    assert synced.sql("SELECT n, other FROM orders WHERE id = '3'") == [(None, "x")]


def test_sequence_numbers_are_compared_as_numbers(replica: Replica) -> None:
    replica.rig.numbers.jump_to(10**21 - 40)
    replica.model.put(*(order(n, 0) for n in range(20)))
    replica.sync()
    replica.model.put(*(order(n % 20, n) for n in range(100)))
    replica.sync()
    replica.assert_equal()
    assert isinstance(replica.rig.numbers, SequenceNumbers)
    assert replica.rig.numbers.last() >= 10**21


def test_a_delete_of_an_unknown_item_and_a_change_of_an_unknown_item_apply(
    synced: Replica,
) -> None:
    stream = synced.model.stream
    (shard,) = stream.open_shards()
    changed = dict(shard.records[-1].content)
    synced.model.load([order("unseen", 7)])
    image = {"Keys": key("unseen"), "NewImage": order("unseen", 7)}
    for event, keys in (("REMOVE", key("never there")), ("MODIFY", key("unseen"))):
        number = str(stream.numbers.last() + 1)
        inner = {**changed["dynamodb"], **image, "Keys": keys, "SequenceNumber": number}
        if event == "REMOVE":
            inner.pop("NewImage")
        stream.append({**changed, "eventName": event, "dynamodb": inner})
    synced.sync()
    synced.assert_equal()


def test_a_problem_is_forgotten_while_a_run_follows_and_not_only_at_its_end(
    replica: Replica,
) -> None:
    replica.settings |= {"quarantine.limit": 0}
    replica.sync()
    replica.model.put({**key("bad"), "n": {"N": "1e999"}})
    with pytest.raises(QuarantineLimit):
        replica.sync()
    assert replica.state().problem is not None
    replica.settings |= {"quarantine.limit": 1}
    problems = []

    def follows(tail: Tail) -> bool:
        if tail.caught_up():
            problems.append(replica.state().problem)
        return bool(problems)

    replica.sync(follows)
    assert problems == [None]


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged."""
    return [each.getMessage() for each in caplog.records]


def test_a_stream_that_is_switched_off_while_it_is_followed_is_reported(
    synced: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    def follows(tail: Tail) -> bool:
        if tail.caught_up() and synced.model.streaming:
            synced.model.disable_stream()
        return False

    with caplog.at_level("WARNING", "connector"), pytest.raises(StreamDisabled):
        synced.sync(follows)
    (warning,) = lines(caplog)
    assert warning.startswith("orders: its stream was switched off")


def test_that_a_stream_is_switched_off_is_said_before_the_rest_of_it_is_read(
    synced: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    change(synced)
    synced.model.disable_stream()
    synced.settings["tail.batch_records"] = 1
    with caplog.at_level("INFO", "connector"), pytest.raises(StreamDisabled):
        synced.sync()
    said = lines(caplog)
    (off,) = [place for place, line in enumerate(said) if "was switched off" in line]
    (finished,) = [place for place, line in enumerate(said) if line.endswith(": finished")]
    assert off < finished
