"""The fault matrix where changes have no images, so that items are looked up by key."""

import pytest

from connector.errors import BadAnswer, HistoryLost, SourceRefused, StreamDisabled, Throttled
from tests.rigs.scripted import ScriptedDynamoDB
from tests.rigs.scripted.scenario import (
    Before,
    Create,
    Delete,
    Disable,
    Drop,
    During,
    Expire,
    Fault,
    Put,
    Roll,
    Split,
    Step,
    Wait,
    Write,
)

from .memory import items
from .replica import Replica, planned

LOOK_UP = "BatchGetItem"


class Both(Step):
    """Several steps at one moment."""

    def __init__(self, *steps: Step) -> None:
        self._steps = steps

    def play(self, stage: Replica) -> None:
        """Plays them."""
        stage.play(*self._steps)


@pytest.fixture(params=["KEYS_ONLY", "OLD_IMAGE"])
def replica(request: pytest.FixtureRequest, rig: ScriptedDynamoDB) -> Replica:
    """An empty table with such a stream, and its replica in memory."""
    Create(view=request.param).play(made := Replica(rig))
    return made


def numbers(replica: Replica) -> dict[str, object]:
    """The numbers of the rows by their ids."""
    return {name: item.get("n") for name, item in replica.contents().items()}


def test_01b_half_of_the_look_ups_are_throttled(replica: Replica) -> None:
    planned(replica, Write(40, seed=1))
    replica.play(Fault("throttle", LOOK_UP, 5, chance=0.5, seed=3))
    replica.play(Fault("unprocessed", LOOK_UP, 5, having=(0.5,)))
    replica.settings |= {"source.max_read_units": 3}
    replica.sync()


def test_02b_look_ups_are_throttled_without_end(replica: Replica) -> None:
    """X at the deadline; the cursor stays, and so do the rows."""
    planned(replica, Put("a", 2))
    before = replica.state().shards
    for name, having in (("throttle", ()), ("unprocessed", (1.0,))):
        replica.play(Fault(name, LOOK_UP, 10**6, having=having))
        replica.fails(Throttled, match=LOOK_UP)
        assert replica.state().shards == before
        assert numbers(replica)["a"] == 1
        replica.rig.faults.clear()
    replica.sync()


@pytest.mark.parametrize("fault", ["html", "cut_body", "wrong_checksum", "wrong_body"])
def test_04b_a_look_up_that_is_no_answer_deletes_nothing(replica: Replica, fault: str) -> None:
    planned(replica, Put("a", 2), Put("old 1", 5))
    replica.play(Fault(fault, LOOK_UP, 10**6))
    replica.fails(BadAnswer)
    assert numbers(replica)["a"] == 1
    replica.rig.faults.clear()
    replica.play(Fault(fault, LOOK_UP, 2))
    replica.sync()


def test_08b_killed_between_a_look_up_and_its_commit(replica: Replica) -> None:
    planned(replica, Put("a", 2))
    assert replica.crash("tail.after_look_up")
    assert numbers(replica)["a"] == 1
    replica.play(Put("a", 3), Delete("old 1"))
    replica.sync()
    assert numbers(replica)["a"] == 3


def test_11b_items_that_change_while_they_are_looked_up_and_scanned(replica: Replica) -> None:
    replica.play(Before(12), Put("a", 1))
    replica.scan_pages = 1
    for turn in range(6):
        replica.play(
            During("Scan", Both(Put("a", turn), Put(f"old {turn}", 9), Delete(f"old {turn + 6}"))),
            During(LOOK_UP, Both(Put("a", 10 + turn), Delete(f"old {turn}"), Put("b", turn))),
        )
    replica.sync()
    replica.sync()


def test_13b_the_table_is_deleted_before_the_look_up(replica: Replica) -> None:
    planned(replica, Put("a", 2), During(LOOK_UP, Drop()))
    with pytest.raises(SourceRefused, match="was deleted"):
        replica.run().sync(lambda tail: tail.caught_up())
    assert numbers(replica)["a"] == 1


def test_14b_another_table_of_that_name_is_there_by_the_look_up(replica: Replica) -> None:
    """X: its items are never taken for those of the table that was planned."""
    view = replica.stream.view
    planned(replica, Put("a", 2))
    replica.play(During(LOOK_UP, Both(Drop(), Create(view=view), Put("a", 666))))
    with pytest.raises(HistoryLost, match="created again"):
        replica.run().sync(lambda tail: tail.caught_up())
    assert numbers(replica)["a"] == 1
    replica.refresh()
    assert numbers(replica) == {"a": 666}


def test_15b_a_denied_look_up(replica: Replica) -> None:
    planned(replica, Put("a", 2), Fault("access_denied", LOOK_UP, 10**6))
    asked = replica.rig.calls.count(LOOK_UP)
    replica.fails(SourceRefused, match="dynamodb:BatchGetItem")
    assert replica.rig.calls.count(LOOK_UP) == asked + 1


def test_19b_splits_with_writes_on_both_sides(replica: Replica) -> None:
    replica.settings |= {"tail.readers": 4}
    planned(replica)
    for seed in range(4):
        replica.play(Write(20, seed=seed, keys=30), Split(), Write(20, seed=seed + 9, keys=30))
    replica.sync()


def test_29b_a_stream_that_is_switched_off(replica: Replica) -> None:
    """Its view type is known all the same, and it is read to its end."""
    planned(replica, Put("a", 2), Delete("old 1"), Disable())
    replica.fails(StreamDisabled)
    assert numbers(replica)["a"] == 2
    assert "old 1" not in numbers(replica)


def test_36b_a_table_of_which_nothing_was_read_for_a_day(replica: Replica) -> None:
    """G, whatever could be looked up now: which keys changed is in no record any more."""
    planned(replica, Put("a", 2), Wait(hours=30), Put("b", 1))
    replica.fails(HistoryLost)
    assert "b" not in numbers(replica)


def test_43b_all_that_happened_to_a_key_in_one_batch(replica: Replica) -> None:
    planned(replica, Delete("a"), Put("a", 2), Put("a", 3), Delete("a"), Put("a", 4))
    asked = replica.rig.calls.count(LOOK_UP)
    replica.sync()
    assert numbers(replica)["a"] == 4
    assert replica.rig.calls.count(LOOK_UP) == asked + 1


@pytest.mark.parametrize(
    ("deletes", "left"), [("apply", set()), ("soft", {"a", "b"}), ("ignore-ttl", {"a"})]
)
def test_46b_deletes_by_time_to_live_and_by_somebody(
    replica: Replica, deletes: str, left: set[str]
) -> None:
    """Only the record of a delete says which it was, and one of each has not come yet."""
    replica.settings["tables.orders.deletes"] = deletes
    planned(replica, Put("b", 1), Put("c", 1))
    replica.sync()
    replica.play(Put("a", 2), Put("b", 2))
    replica.play(During(LOOK_UP, Both(Expire("a"), Delete("b"))))
    replica.sync()
    replica.sync()
    marked = {item["id"].strip('"') for item in items(replica.destination, "orders", marked=True)}
    assert marked == left


def test_78b_a_second_run_overtakes_one_that_has_looked_up(replica: Replica) -> None:
    planned(replica, Put("a", 2), Roll(), Put("b", 2))
    replica.checker.runs_at_once = 2

    class Rival(Step):
        """Another run, while the first one waits for an answer."""

        def play(self, stage: Replica) -> None:
            """Runs it."""
            stage.play(Put("a", 3))
            stage.run().sync(lambda tail: tail.caught_up())

    replica.play(During("DescribeTable", Rival(), after=2))
    replica.sync()
    assert numbers(replica)["a"] == 3
