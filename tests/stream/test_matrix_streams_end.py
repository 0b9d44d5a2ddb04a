"""Fault matrix B 29–32: streams that are disabled, replaced, of the wrong view, or not ready."""

import pytest

from connector.core.state import Phase
from connector.errors import (
    HistoryLost,
    SourceRefused,
    StreamDisabled,
    Unreachable,
)
from tests.rigs.scripted.scenario import (
    Before,
    Delete,
    Disable,
    Enable,
    Put,
    Roll,
)

from .replica import Replica, planned


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
    """Items are looked up; another view type is another stream, and G."""
    replica.play(Put("a", 1), Disable(), Enable(view="KEYS_ONLY"))
    replica.sync()
    replica.play(Put("a", 2), Disable(), Enable())
    replica.fails(HistoryLost, match="in between are in neither")
    replica.refresh()
    replica.play(Disable(), Enable(view="OLD_IMAGE"))
    replica.refresh()
    replica.play(Put("a", 3))
    replica.sync()
    assert replica.contents()["a"]["n"] == 3


def test_31_a_view_type_that_nobody_knows(replica: Replica) -> None:
    """X at the start."""
    replica.play(Put("a", 1), Disable(), Enable(view="LAST_IMAGE"))
    with pytest.raises(SourceRefused, match="does not know"):
        replica.run().sync(lambda tail: tail.caught_up())


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
