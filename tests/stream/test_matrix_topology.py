"""Fault matrix B: shards that roll over, split, come late, lie, vanish; streams that end.

"=" in a name's row means: recovers by itself and the table is right. "G": stops with HistoryLost,
or reads the table again where `on_gap` says so. "X": stops with a clear error, the state as it was.
Every run here also passes the whole checker (checker.py).
"""

from itertools import count

import pytest

from connector.core.state import Phase
from connector.dynamodb import streams
from connector.errors import (
    BadAnswer,
    HistoryLost,
    SourceRefused,
    StreamDisabled,
    Unreachable,
)
from tests.rigs.scripted import faults
from tests.rigs.scripted.scenario import (
    Before,
    Close,
    Create,
    Delete,
    Disable,
    Drop,
    During,
    Enable,
    Fault,
    Hide,
    LooksOpen,
    Put,
    Resolve,
    Roll,
    RollAll,
    Show,
    Split,
    Stage,
    Step,
    Unresolve,
    Vanish,
    Wait,
    Write,
)

from .replica import Replica


def planned(replica: Replica, *steps: Step) -> None:
    """A replica that is equal, and then what happens next."""
    replica.play(Before(3), Put("a", 1))
    replica.sync()
    replica.play(*steps)


def test_18_rollover_every_few_records_200_generations(replica: Replica) -> None:
    """Each item's changes arrive in their order, over any number of rollovers."""
    for generation in range(100):
        replica.play(Write(3, seed=generation, keys=4), Roll())
    replica.sync()
    for generation in range(100, 200):
        replica.play(Write(3, seed=generation, keys=4), Roll())
    replica.sync()
    assert len(replica.stream.shards) == 201


def test_18_rollovers_while_the_stream_is_read(replica: Replica) -> None:
    """A shard may end between any two calls of the reader."""
    planned(replica, Put("a", 2))
    replica.play(During("GetRecords", Write(2, seed=5, keys=3), Roll(), times=30))
    replica.sync()
    assert len(replica.stream.shards) == 31


def test_19_splits_from_1_shard_to_64(replica: Replica) -> None:
    """The lineages go on side by side, each in its own order."""
    replica.play(Before(10))
    for level in range(6):
        replica.play(Write(30, seed=level, keys=40))
        replica.play(*[Split(shard_of(replica, s.id)) for s in replica.stream.open_shards()])
        if level == 2:
            replica.sync()
    replica.play(Write(100, seed=99, keys=40))
    replica.settings["tail.readers"] = 8
    replica.sync()
    assert len(replica.stream.open_shards()) == 64


def shard_of(stage: Stage, shard_id: str) -> str:
    """The lineage of a shard."""
    shards = stage.stream.shards
    parent = shards[shard_id].parent
    place = [s.id for s in shards.values() if s.parent == parent].index(shard_id)
    return f"{shard_of(stage, parent)}.{place}" if parent else str(place)


def test_20_350_shards_on_four_listing_pages(replica: Replica) -> None:
    """Every page of a listing is read; a parent and its child may be on two of them."""
    replica.play(Drop(), Create(shards=175), Write(200, seed=1, keys=90), RollAll())
    replica.play(Write(200, seed=2, keys=90))
    replica.sync()
    assert len(replica.stream.shards) == 350
    pages = replica.rig.calls.of("DescribeStream")
    assert {call.parameters.get("ExclusiveStartShardId") for call in pages} >= {
        list(replica.stream.shards)[place] for place in (99, 199, 299)
    }


@pytest.mark.parametrize("repeats", [True, False], ids=["repeats itself", "never ends"])
def test_21_a_listing_that_does_not_end(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, repeats: bool
) -> None:
    """X: it is given up after a bounded number of pages."""
    planned(replica)
    monkeypatch.setattr(streams, "MAX_LISTING_PAGES", 40)
    numbers = count()

    def go_on(content: dict[str, dict[str, object]]) -> None:
        last = "same" if repeats else f"shard {next(numbers)}"
        content["StreamDescription"]["LastEvaluatedShardId"] = last

    endless = replica.rig.faults.add(faults.edit(go_on), on="DescribeStream", times=10**6)
    # The rig takes an unknown starting point for the end of the listing.
    replica.fails(BadAnswer)
    assert endless.fired <= 41
    replica.rig.faults.clear()
    replica.sync()


def test_22_a_child_is_listed_before_its_parent(replica: Replica) -> None:
    """The order of a listing means nothing."""
    replica.stream.listing = lambda shards: list(reversed(shards))
    planned(replica, Put("a", 2), Roll(), Put("a", 3), Split(), Put("a", 4), Delete("b"))
    replica.sync()


@pytest.mark.parametrize("hours", [1, 30], ids=["a young plan", "a plan older than a day"])
def test_22_a_parent_is_listed_half_a_minute_after_its_child(replica: Replica, hours: int) -> None:
    """The child waits; nothing is taken for lost because a listing is late."""
    planned(replica)
    replica.settings["tail.idle_poll_seconds"] = 600
    replica.follow(hours=hours)
    replica.play(Put("a", 2), Roll(), Put("a", 3), Roll(), Put("a", 4), Hide("0.0"))
    replica.after(Show("0.0"), seconds=30)
    replica.sync()


def test_22_a_closed_leaf_without_child_for_ten_listings(replica: Replica) -> None:
    """The stream is enabled, so there must be a child: it is looked for until it is listed."""
    planned(replica, Put("a", 2), Roll(unlisted=10), Put("a", 3))
    replica.sync()


def test_22_an_open_parent_with_a_child(replica: Replica) -> None:
    """A shard that is listed as open is not finished, whatever children it has."""
    planned(replica, Put("a", 2), Roll(), Put("a", 3), LooksOpen("0"))
    replica.after(LooksOpen("0", False), minutes=2)
    replica.sync()


def test_23a_a_parent_that_was_gone_before_the_plan(replica: Replica) -> None:
    """=: what it held, the scan has seen."""
    replica.play(Put("a", 1), Roll(), Wait(hours=25), Put("b", 1))
    assert len(replica.stream.listed()) == 1
    replica.sync()


def test_23b_a_parent_that_was_finished_and_then_trimmed(replica: Replica) -> None:
    """=: it is remembered for two days, and then forgotten."""
    replica.settings["tail.idle_poll_seconds"] = 600
    planned(replica, Put("a", 2), Roll(), Put("a", 3))
    for _ in range(16):
        replica.play(Wait(hours=4), Put("a", 5), Roll(), Put("a", 6))
        replica.sync()
    assert 6 < len(replica.state().shards) < 16


@pytest.mark.usefixtures("small_pages")
def test_23c_a_shard_that_vanishes_half_read(replica: Replica) -> None:
    """G: the rest of it is lost."""
    planned(replica, Wait(hours=2), Put("a", 2), Put("a", 3), Put("b", 1), Roll())
    replica.settings["tail.batch_records"] = 1
    replica.rounds(1)
    replica.play(Vanish("0"))
    lost = replica.fails(HistoryLost, match="gone and was not read to its end")
    assert replica.shard("0").id in str(lost) and "full-refresh" in lost.hint
    replica.refresh()


def test_24_a_listed_shard_that_does_not_resolve_for_a_moment(replica: Replica) -> None:
    """=: a new shard may be listed before it can be read; it is tried again, and not skipped."""
    planned(replica, Put("a", 2), Roll(), Put("a", 3), Unresolve("0.0"))
    replica.after(Resolve("0.0"), seconds=40)
    replica.sync()


def test_24_a_listed_shard_that_never_resolves_and_was_begun(replica: Replica) -> None:
    """G: it was tracked and not finished."""
    planned(replica, Wait(minutes=10), Put("a", 2))
    replica.sync()
    replica.play(Put("a", 3), Unresolve("0"))
    replica.fails(HistoryLost, match="gone")


def test_24_an_open_shard_that_never_resolves_is_not_called_finished(replica: Replica) -> None:
    """X: a shard cannot be listed as open and be gone; nothing of it is skipped."""
    replica.play(Before(3), Put("a", 1), Unresolve("0"))
    replica.fails(Unreachable, match="listed as open")
    assert not any(cursor.done for cursor in replica.state().shards.values())
    replica.play(Resolve("0"))
    replica.sync()


def test_24_a_closed_shard_that_was_gone_before_the_plan(replica: Replica) -> None:
    """=: the listing still shows it for a while; what it held, the scan has seen."""
    replica.play(Put("a", 1), Roll(), Wait(hours=23), Put("b", 1), Unresolve("0"))
    replica.sync()


def test_25_a_missing_iterator_of_an_open_shard(replica: Replica) -> None:
    """Reading goes on with a new iterator; the shard is not finished."""
    planned(replica, Put("a", 2))
    replica.play(Fault("without", on="GetRecords", times=6, having=("NextShardIterator",)))
    replica.after(Put("a", 3), seconds=2)
    replica.sync()
    assert not any(cursor.done for cursor in replica.state().shards.values())


@pytest.mark.usefixtures("small_pages")
def test_25_a_missing_iterator_of_a_closed_shard_with_unread_records(replica: Replica) -> None:
    """The end is asked for twice: a page that merely lost its iterator does not end the shard."""
    planned(replica, Put("a", 2), Put("b", 2), Put("a", 3), Roll(), Put("b", 3))
    replica.play(Fault("without", on="GetRecords", times=1, having=("NextShardIterator",)))
    replica.sync()


@pytest.mark.parametrize("closed", [Roll(), Close()], ids=["with a child", "without"])
def test_26_an_empty_shard_that_is_closed(replica: Replica, closed: Step) -> None:
    """It is finished without a record, and its child begins."""
    planned(replica, Roll(), closed)
    replica.after(Put("a", 2), seconds=20)
    replica.sync()
    assert [cursor.done for cursor in replica.state().shards.values()] == [True, True, False]


def test_27_a_child_that_appears_five_minutes_late(replica: Replica) -> None:
    """It is found, and read from its first record."""
    planned(replica, Put("a", 2), Roll(late=300), Put("a", 3), Put("b", 1), Delete("b"))
    replica.sync()
    child = replica.shard("0.0").id
    kinds = {
        call.parameters["ShardIteratorType"]
        for call in replica.rig.calls.of("GetShardIterator", ShardId=child)
    }
    assert kinds <= {"TRIM_HORIZON", "AFTER_SEQUENCE_NUMBER"}
    filters = [call.parameters.get("ShardFilter") for call in replica.rig.calls]
    assert {"Type": "CHILD_SHARDS", "ShardId": replica.shard("0").id} in filters


@pytest.mark.parametrize("late", ["0.0", "0.1"], ids=["the first", "the second"])
@pytest.mark.parametrize("committed", [False, True], ids=["before the run", "in an earlier run"])
def test_27_one_child_of_a_split_is_listed_later_than_its_sibling(
    replica: Replica, late: str, committed: bool
) -> None:
    """A parent with a child may lack another: a second listing, later in the run, shows both."""
    planned(replica, Put("a", 2), Split())
    for name in "abcdef":
        replica.play(Put(name, 3))
    child = replica.shard(late)
    child.listed_at = replica.rig.clock.now() + 1.5
    if committed:
        replica.rounds(2)
        assert replica.state().shards[replica.shard("0").id].done
    replica.sync()
    assert replica.state().shards[child.id].token


def test_27_a_table_is_not_called_consistent_before_both_children_are_listed(
    replica: Replica,
) -> None:
    """What the late one holds was written before the end of the scan."""
    replica.play(Before(3), Put("a", 1))
    assert replica.crash("witness.planned")
    replica.play(Split(), *[Put(name, 3) for name in "abcdef"])
    replica.shard("0.1").listed_at = replica.rig.clock.now() + 1.5
    state = replica.sync()
    assert state.consistent_since
    assert (state.consistent_since - state.planned_at).total_seconds() >= 1.5


def test_27_a_child_is_found_though_the_endpoint_knows_no_filter(replica: Replica) -> None:
    """The full listing is the fallback for CHILD_SHARDS."""
    planned(replica, Put("a", 2), Roll(late=45), Put("a", 3))
    replica.rig.faults.add(
        faults.error("ValidationException", "Unknown parameter in input: ShardFilter"),
        on="DescribeStream",
        times=10**6,
        where=lambda call: "ShardFilter" in call.parameters,
    )
    replica.sync()


def test_27_a_child_that_never_appears_is_reported(replica: Replica) -> None:
    """No run hangs on it, and none ends as if all were read."""
    planned(replica, Put("a", 2), Roll(late=10**6), Put("a", 3))
    replica.fails(Unreachable, match="none after a finished shard")


@pytest.mark.parametrize("length", [1, 2], ids=["its own parent", "a circle of two"])
def test_28_a_circle_in_the_tree(replica: Replica, length: int) -> None:
    """X: no stream can have that."""
    planned(replica, Roll(), Put("a", 2))
    replica.shard("0").parent = list(replica.stream.shards)[length - 1]
    replica.fails(BadAnswer, match="its own ancestor")


def test_29_the_stream_is_disabled_while_it_is_followed(replica: Replica) -> None:
    """It is drained, its leaves are finished, and the run says that it is switched off."""
    planned(replica)
    replica.after(Put("a", 2), Delete("old 1"), Disable(), Put("a", 99), minutes=5)
    with pytest.raises(StreamDisabled):
        replica.follow(hours=1)
    state = replica.state()
    assert "StreamDisabled" in (state.problem or "")
    assert all(cursor.done for cursor in state.shards.values())
    assert replica.contents()["a"]["n"] == 2


def test_29_a_bounded_run_on_a_disabled_stream_is_no_success(replica: Replica) -> None:
    """Whatever is written now is in no stream, however well everything in it was read."""
    planned(replica, Put("a", 2), Disable(), Put("a", 99))
    for _ in range(2):
        replica.fails(StreamDisabled)
    assert replica.contents()["a"]["n"] == 2


def test_29_a_disabled_stream_whose_last_shard_is_not_listed_yet(replica: Replica) -> None:
    """A person is needed anyway; the table is not called consistent on the way."""
    replica.play(Before(3), Put("a", 1))
    assert replica.crash("witness.planned")
    replica.play(Put("a", 2), Roll(late=600), Put("a", 3), Disable())
    replica.fails(StreamDisabled)
    assert replica.state().consistent_since is None


def test_30_disabled_and_enabled_again(replica: Replica) -> None:
    """G: what was written in between is in neither stream."""
    planned(replica, Disable(), Put("a", 2), Enable(), Put("b", 1))
    replica.fails(HistoryLost, match="in between are in neither")
    assert replica.contents()["a"]["n"] == 1
    replica.refresh()


def test_30_disabled_and_enabled_again_with_resync(replica: Replica) -> None:
    """The table is read again, as a new generation, and deletes what is gone."""
    planned(replica, Disable(), Put("a", 2), Delete("old 1"), Enable(), Put("b", 1))
    replica.settings["tables.orders.on_gap"] = "resync"
    state = replica.sync()
    assert state.generation == 2 and state.phase is Phase.TAILING


def test_31_a_view_type_without_images(replica: Replica) -> None:
    """X at the start, and also where it becomes so later."""
    replica.play(Put("a", 1), Disable(), Enable(view="KEYS_ONLY"))
    with pytest.raises(SourceRefused, match="KEYS_ONLY"):
        replica.run().sync(lambda tail: tail.caught_up())
    replica.play(Disable(), Enable())
    replica.sync()
    replica.play(Disable(), Enable(view="OLD_IMAGE"))
    replica.fails(SourceRefused, match="OLD_IMAGE")


def test_32_a_stream_that_is_still_being_enabled(replica: Replica) -> None:
    """No shard is listed yet: it is waited for, but not for ever."""
    replica.play(Put("a", 1))
    replica.stream.status = "ENABLING"
    with pytest.raises(Unreachable, match="still being enabled"):
        replica.run().sync(lambda tail: tail.caught_up())

    def enabled() -> None:
        if replica.rig.clock.now() > waited_until:
            replica.stream.status = "ENABLED"

    waited_until = replica.rig.clock.now() + 20
    replica.listeners.append(enabled)
    replica.sync()
