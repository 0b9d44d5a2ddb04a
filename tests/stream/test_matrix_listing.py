"""Fault matrix B 20–22, 24, 27 and 28: listings that are long, late, wrong, or never end."""

from itertools import count

import pytest

from connector.errors import (
    BadAnswer,
    HistoryLost,
    Unreachable,
)
from connector.sources.dynamodb import streams
from tests.rigs.scripted import faults
from tests.rigs.scripted.scenario import (
    Before,
    Create,
    Delete,
    Drop,
    Hide,
    LooksOpen,
    Put,
    Resolve,
    Roll,
    RollAll,
    Show,
    Split,
    Unresolve,
    Wait,
    Write,
)

from .replica import Replica, planned


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
