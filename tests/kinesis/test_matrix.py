"""Row 90 of the fault matrix: what Kinesis does to the changes of a table."""

import random

import pytest

from connector.events import quiet
from connector.pipeline.repair import Repair
from connector.pipeline.verify import verify
from tests.rigs.scripted.scenario import Delete, Put, Write

from .replica import Followed

pytestmark = pytest.mark.by_turns("each")


@pytest.mark.by_turns("each", "seed")
@pytest.mark.parametrize("precision", ["MILLISECOND", "MICROSECOND", "SECOND"])
@pytest.mark.parametrize("seed", range(3))
def test_90_changes_come_twice_and_in_any_order(each: Followed, precision: str, seed: int) -> None:
    """De-duplicated and ordered by time, and by a look-up where times do not tell."""
    dice = random.Random(seed)
    each.kinesis.precision = precision
    each.play(Write(10, seed=seed, keys=5))
    each.sync()
    each.rig.clock.advance(minutes=5)
    each.kinesis.holding = True
    for part in range(4):
        each.play(Write(8, seed=10 * seed + part, keys=5))
        each.rig.clock.advance(dice.choice((0.0003, 0.002, 5)))
    held = each.kinesis.held * 2
    dice.shuffle(held)
    for at in range(0, len(held), 12):
        each.kinesis.deliver(held[at : at + 12])
        each.sync()
    each.assert_equal()


def test_90a_a_change_that_is_too_large_is_found_and_mended(each: Followed) -> None:
    """DynamoDB leaves it out; only a comparison with the table shows that."""
    each.play(Put("a", 1), Put("b", 1))
    each.sync()
    each.rig.clock.advance(hours=1)
    each.kinesis.skips = lambda sent: True
    each.play(Put("a", 2), Delete("b"), Put("c", 1))
    each.kinesis.skips = lambda sent: False
    each.kinesis.holding = True
    each.play(Put("d", 1))
    each.sync()
    run = each.run()
    state = each.state()
    encoder, lookup = run.encoder(state), run.lookup
    repair = Repair(lookup, each.destination, encoder, 10, run.by_time)
    verdict = verify(
        run.pages,
        lookup,
        each.destination,
        state,
        segments=1,
        tail=lambda: None,
        listener=quiet,
        repair=lambda keys: repair.run(each.state(), keys),
    )
    assert verdict.equal
    assert verdict.repaired is not None
    assert sorted(verdict.repaired.keys) == ['["a"]', '["b"]', '["c"]', '["d"]']
    # What was repaired is newer than what arrives only now.
    each.kinesis.deliver(each.kinesis.written[:2] + each.kinesis.held)
    each.sync()
    each.assert_equal()
