"""Histories of a global table drawn at random: kills, faults, lost Regions, and failovers between.

Whatever happened, the table is what its own Region has, and each Region's own lost writes are gone.
"""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from connector import failpoints, job
from connector.core.state import TableState
from connector.errors import Transient
from connector.pipeline.following.failover import fail_over
from tests.pipeline.replica import ORDERS, caught_up, key, order
from tests.rigs.combinations import amount
from tests.rigs.scripted import ScriptedDynamoDB, faults

from .world import EAST, WEST, World, world

pytestmark = pytest.mark.by_turns("kind")

SEEDS = range(60 if os.environ.get("TEST_SCALE") == "large" else amount(4, by_turns=1))
KEYS = 10
STEPS = amount(60, by_turns=30)
VIEWS = ["NEW_AND_OLD_IMAGES", "NEW_IMAGE", "KEYS_ONLY", "OLD_IMAGE"]
POINTS = [name for name in failpoints.NAMES if not name.startswith("spool.")]


class Killed(BaseException):
    """The process is gone: nothing that it held in memory is left."""


def _die(*_: object) -> None:
    raise Killed


@contextmanager
def killed_at(point: str) -> Iterator[None]:
    """Kills whatever runs in the block once it comes to this point."""
    dying = SimpleNamespace(environ={failpoints.VARIABLE: point}, getpid=os.getpid, kill=_die)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(failpoints, "os", dying)
        try:
            yield
        finally:
            failpoints._reached.clear()


class History:
    """One history, drawn by a die."""

    def __init__(self, made: World, seed: int) -> None:
        self.world = made
        self.dice = random.Random(seed)
        self.lost: set[str] = set()

    @property
    def other(self) -> str:
        """The Region that the table is not read in."""
        return EAST if self.world.region == WEST else WEST

    def play(self) -> None:
        """Some hours of it, and then the end."""
        actions: list[tuple[Callable[[], None], int]] = [
            (self.write, 60),
            (self.wait, 15),
            (self.roll, 4),
            (self.fault, 4),
            (self.sync, 8),
            (self.move, 6),
            (self.heal, 3),
        ]
        chosen, weights = zip(*actions, strict=True)
        self.sync()
        for action in self.dice.choices(chosen, weights, k=STEPS):
            action()
        self.move()
        for region in (WEST, EAST):
            self.restore(region)
        self.world.group.converge()
        self.sync()

    def write(self) -> None:
        """A put or a delete, mostly where the table is read."""
        here = self.dice.random() < 0.7
        table = self.world.group.tables[self.world.region if here else self.other]
        name = self.dice.randrange(KEYS)
        if self.dice.random() < 0.3:
            table.delete(key(name))
        else:
            table.put(order(name, self.dice.randrange(10_000)))

    def wait(self) -> None:
        """Time passes: some of what was written elsewhere arrives."""
        self.world.rig.clock.advance(self.dice.choice([1, 10, 60, 600]))

    def roll(self) -> None:
        """A shard ends in one of the Regions."""
        region = self.dice.choice([WEST, EAST])
        self.world.group.tables[region].stream.roll()

    def fault(self) -> None:
        """A few calls fail where the table is read."""
        service = self.world.service(self.world.region)
        effect = self.dice.choice([faults.throttle(), faults.internal_server_error()])
        on = self.dice.choice(["GetRecords", "Scan", "DescribeStream", "DescribeTable"])
        service.faults.add(effect, on=on, times=self.dice.randrange(1, 3))

    def heal(self) -> None:
        """A lost Region is there again."""
        self.restore(self.other)

    def restore(self, region: str) -> None:
        """Ends whatever is wrong with a Region."""
        self.lost.discard(region)
        self.world.service(region).faults.clear()
        self.world.group.heal(region)

    def sync(self) -> None:
        """A run, which may be killed; then one that is not, and the table is the Region's."""
        self.run(lambda: self.world.sync(caught_up))
        group = self.world.group
        group.held = True
        self.world.sync(caught_up)
        self.world.assert_equal()
        assert self.world.state().identity.region == self.world.region
        group.held = False

    def move(self) -> None:
        """The table goes on in the other Region, perhaps since its own is lost."""
        there = self.other
        self.restore(there)
        if self.dice.random() < 0.6:
            self.lost.add(self.world.region)
            self.world.lost(self.world.region)
        self.run(lambda: self.moved(there))
        self.moved(there)
        self.world.region = there
        asked = self.world.service(self.other).calls
        if self.lost:
            assert not asked.log
        self.sync()

    def moved(self, there: str) -> TableState:
        """One failover."""
        opened = job.open_run(self.world.config(), ORDERS, command="failover", region=there)
        return fail_over(opened, there, yes=True)

    def run(self, step: Callable[[], object]) -> None:
        """A step that may be killed somewhere, and then is not finished."""
        if self.dice.random() < 0.5:
            point = f"{self.dice.choice(POINTS)}:{self.dice.randrange(1, 3)}"
            with killed_at(point):
                try:
                    step()
                except (Killed, Transient):
                    return
        else:
            step()


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
@pytest.mark.parametrize("seed", SEEDS)
def test_any_history_ends_as_its_region_is(
    rig: ScriptedDynamoDB, tmp_path: Path, kind: str, seed: int, request: pytest.FixtureRequest
) -> None:
    database = request.getfixturevalue("kept_postgres").url if kind == "postgres" else ""
    dice = random.Random(f"{seed} {kind}")
    delay = dice.choice([0.0, 5.0, 300.0])
    made = world(rig, tmp_path, database, delay=delay, view=dice.choice(VIEWS))
    for table in made.group.tables.values():
        table.load(order(n, -1) for n in range(KEYS))
    # The numbers of the second Region are lower by far, whatever is written there.
    assert (
        made.group.tables[EAST].stream.numbers.last()
        < made.group.tables[WEST].stream.numbers.last()
    )
    History(made, dice.randrange(10**6)).play()
    assert made.sql("SELECT count(*) FROM _connector.tombstones") == [(0,)]
