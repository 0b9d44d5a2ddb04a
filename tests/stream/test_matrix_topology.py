"""Fault matrix B 18, 19, 23, 25 and 26: shards that roll over, split, close empty, or vanish.

Listings: test_matrix_listing.py. The end of a stream: test_matrix_streams_end.py.

"=" in a name's row means: recovers by itself and the table is right. "G": stops with HistoryLost,
or reads the table again where `on_gap` says so. "X": stops with a clear error, the state as it was.
Every run here also passes the whole checker (checker.py).
"""

import pytest

from connector.errors import (
    HistoryLost,
)
from tests.rigs.combinations import amount
from tests.rigs.scripted.scenario import (
    Before,
    Close,
    During,
    Fault,
    Put,
    Roll,
    Split,
    Stage,
    Step,
    Vanish,
    Wait,
    Write,
)

from .replica import Replica, planned


def test_18_rollover_every_few_records_200_generations(replica: Replica) -> None:
    """Each item's changes arrive in their order, over any number of rollovers."""
    half = amount(100, by_turns=30)
    for generation in range(half):
        replica.play(Write(3, seed=generation, keys=4), Roll())
    replica.sync()
    for generation in range(half, 2 * half):
        replica.play(Write(3, seed=generation, keys=4), Roll())
    replica.sync()
    assert len(replica.stream.shards) == 2 * half + 1


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
    shards = replica.state().shards
    assert [shards[shard].done for shard in replica.stream.shards] == [True, True, False]
