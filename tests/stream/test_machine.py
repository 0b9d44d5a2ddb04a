"""A state machine that draws topologies, faults and kills, and must always end in equality.

Hypothesis chooses what happens next (schedule.py), shrinks what fails, and prints it. Here it is a
small, fixed selection; `make soak` plays random ones for as long as wanted.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.rigs.combinations import amount
from tests.rigs.scripted import ScriptedDynamoDB
from tests.rigs.scripted.scenario import Create

from .replica import Replica
from .schedule import Schedule
from .world import pages, world

SMALL = settings(
    max_examples=amount(18, by_turns=7),
    stateful_step_count=20,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
PICK = st.integers(0, 50)
CALLS = st.sampled_from(
    ["GetRecords", "Scan", "DescribeStream", "GetShardIterator", "BatchGetItem"]
)
VIEWS = st.sampled_from(["NEW_AND_OLD_IMAGES", "KEYS_ONLY", "OLD_IMAGE", "NEW_IMAGE"])
SIZES = st.sampled_from([1, 400, 2**20])


class StreamMachine(RuleBasedStateMachine):
    """Any order of writes, shard ends, late listings, faults, outages, kills, rivals, restores."""

    server: ScriptedDynamoDB

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.rig = self.stack.enter_context(world(self.server))

    @initialize(shards=st.sampled_from([1, 1, 2, 4]), records=SIZES, items=SIZES, view=VIEWS)
    def begin(self, shards: int, records: int, items: int, view: str) -> None:
        """An empty table, its stream, and how much fits into an answer."""
        Create(shards=shards, view=view).play(replica := Replica(self.rig))
        self.schedule = Schedule(replica, view)
        self.stack.enter_context(pages(records, items))

    @rule(count=st.integers(1, 8), seed=st.integers(0, 10**6))
    def write(self, count: int, seed: int) -> None:
        """A few writes."""
        self.schedule.write(count, seed)

    @rule(count=st.integers(1, 20))
    def load(self, count: int) -> None:
        """Items without records."""
        self.schedule.load(count)

    @rule(
        pick=PICK,
        into=st.integers(1, 3),
        late=st.sampled_from([0.0, 10.0, 30.0]),
        unlisted=st.integers(0, 2),
        torn=st.booleans(),
    )
    def grow(self, pick: int, into: int, late: float, unlisted: int, torn: bool) -> None:
        """A shard rolls over or splits."""
        self.schedule.grow(pick, into, late, unlisted, torn)

    @rule(pick=PICK)
    def close(self, pick: int) -> None:
        """A shard ends."""
        self.schedule.close(pick)

    @rule(pick=PICK, listings=st.integers(1, 3))
    def hide(self, pick: int, listings: int) -> None:
        """A listing forgets a shard."""
        self.schedule.hide(pick, listings)

    @rule(pick=PICK, how=st.sampled_from(["listed_open", "resolves"]))
    def lie(self, pick: int, how: str) -> None:
        """A shard is not what it seems."""
        self.schedule.lie(pick, how)

    @rule(seconds=st.sampled_from([1, 30, 300, 1000, 3600, 4 * 3600, 9 * 3600, 25 * 3600]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.schedule.wait(seconds)

    @rule(which=PICK, times=st.integers(1, 3), after=st.integers(0, 3))
    def fault(self, which: int, times: int, after: int) -> None:
        """Calls fail."""
        self.schedule.fault(which, times, after)

    @rule(on=CALLS, after=st.integers(0, 5), seed=st.integers(0, 10**6))
    def during(self, on: str, after: int, seed: int) -> None:
        """Something happens while a call is on its way."""
        self.schedule.during(on, after, seed)

    @precondition(lambda self: self.schedule.replica.model.streaming)
    @rule()
    def disable(self) -> None:
        """The stream is switched off."""
        self.schedule.disable()

    @rule()
    def recreate(self) -> None:
        """The table is made anew."""
        self.schedule.recreate()

    @rule(seed=st.integers(0, 10**6), which=st.none() | PICK)
    def fail_over(self, seed: int, which: int | None) -> None:
        """The Region is lost, and the table goes on in another one."""
        self.schedule.fail_over(seed, which)

    @rule(batch_records=st.sampled_from([1, 3, 1000]), scan_pages=st.integers(1, 3))
    def tune(self, batch_records: int, scan_pages: int) -> None:
        """Another configuration."""
        self.schedule.tune(batch_records, scan_pages)

    @rule()
    def sync(self) -> None:
        """A whole run."""
        self.schedule.sync()

    @rule(rounds=st.integers(1, 4))
    def follow(self, rounds: int) -> None:
        """A part of a run."""
        self.schedule.follow(rounds)

    @rule(which=PICK, nth=st.integers(1, 3))
    def crash(self, which: int, nth: int) -> None:
        """A run that is killed."""
        self.schedule.crash(which, nth)

    @rule(on=CALLS, after=st.integers(0, 8))
    def rival(self, on: str, after: int) -> None:
        """A second run overtakes the next one."""
        self.schedule.rival(on, after)

    @rule()
    def back_up(self) -> None:
        """The destination is copied."""
        self.schedule.back_up()

    @precondition(lambda self: self.schedule.backups)
    @rule(pick=PICK)
    def restore(self, pick: int) -> None:
        """An earlier copy comes back."""
        self.schedule.restore(pick)

    def teardown(self) -> None:
        """The world heals, and the replica becomes equal."""
        with self.stack:
            if hasattr(self, "schedule"):
                self.schedule.end()


@pytest.fixture
def machine(server: ScriptedDynamoDB) -> Iterator[type[StreamMachine]]:
    """The machine, over the one server."""
    StreamMachine.server = server
    yield StreamMachine


def test_whatever_happens_the_replica_becomes_equal(machine: type[StreamMachine]) -> None:
    """No topology, fault or kill makes it differ, or lets it say nothing about a loss."""
    run_state_machine_as_test(machine, settings=SMALL)
