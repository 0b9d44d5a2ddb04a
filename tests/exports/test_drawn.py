"""Histories drawn at random around an export: the table ends as the source is."""

import os
import random
from datetime import timedelta
from pathlib import Path

import pytest

from tests.pipeline.replica import ORDERS, SCHEMA, caught_up, key, order
from tests.rigs.combinations import amount
from tests.rigs.scripted import ScriptedDynamoDB

from .replica import Exported

SEEDS = range(100 if os.environ.get("TEST_SCALE") == "large" else amount(8, by_turns=3))
HOURS = 22
"""From the beginning of the stream to the run; AWS keeps it for two more."""
STEPS = 120
KEYS = 12


@pytest.fixture
def replica(tmp_path: Path, server: ScriptedDynamoDB) -> Exported:
    """A table that nobody has written to, with a stream of some hours ago."""
    server.clock.advance(hours=-HOURS)
    server.create_table(ORDERS, SCHEMA).load(order(n, -1) for n in range(KEYS))
    server.clock.advance(minutes=10)
    return Exported(server, tmp_path)


def live(replica: Exported, dice: random.Random, steps: int) -> None:
    """Some hours of writes, of a key after the other, while shards come and go."""
    for step in range(steps):
        replica.rig.clock.advance(minutes=dice.random() * (HOURS - 1) * 60 / STEPS)
        name = dice.randrange(KEYS)
        if dice.random() < 0.3:
            replica.model.delete(key(name))
        else:
            replica.model.put(order(name, dice.randrange(10_000)))
        if not step % 40:
            replica.model.stream.roll()


@pytest.mark.parametrize("seed", SEEDS)
def test_any_history_ends_as_the_source_is(replica, seed):
    dice = random.Random(seed)
    before = dice.randrange(STEPS)
    live(replica, dice, before)
    # Its edge may be a minute off, and newest writes may be missing from it or in it already.
    replica.export(timedelta(seconds=dice.uniform(-60, 60)), files=dice.randrange(1, 4))
    live(replica, dice, STEPS - before)
    run = replica.run()
    run.begin()
    if dice.random() < 0.5:
        # The stream is ahead of the export: what it has said must not be undone.
        run.tail(caught_up)
    live(replica, dice, dice.randrange(5))
    state = replica.sync()
    replica.assert_equal()
    replica.assert_no_scan()
    assert state.consistent_since is not None
    assert replica.sql("SELECT count(*) FROM _connector.tombstones") == [(0,)]
