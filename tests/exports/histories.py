"""Histories of a table that incremental exports bring along, drawn at random, with kills."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.core.changes.shards import EARLIER
from connector.errors import HistoryLost, NeedsPerson
from tests.pipeline.replica import caught_up, key, order
from tests.properties.crashes import crash_at
from tests.rigs import exports

from .replica import Exported

KEYS = 9
STEPS = 12
POINTS = (
    "tail.after_read",
    "tail.after_fold",
    "tail.after_look_up",
    "commit.after_merge",
    "commit.before_commit",
    "commit.after_commit",
    "mend.before_plan",
    "mend.before_commit",
    "mend.after_commit",
)
WAYS = ("exports after an export", "exports after a scan", "filler", "repair")
SHORTEST = timedelta(minutes=15)


@dataclass
class History:
    """One table's life: some writes, then a window, and a run that may be killed."""

    replica: Exported
    dice: random.Random
    way: str
    deletes: str = "apply"
    covered: datetime | None = None
    """Up to when there are windows."""
    exported_at: datetime | None = None
    kills: int = 0
    runs: int = 0
    trace: list[str] = field(default_factory=list)

    def play(self) -> None:
        """Lives, and checks the table at its end."""
        self.trace.append(f"{self.way}, {self.deletes}")
        {
            "exports after an export": self._followed,
            "exports after a scan": self._followed,
            "filler": self._filled,
            "repair": self._repaired,
        }[self.way]()
        self.assert_equal()

    def _followed(self) -> None:
        scans = self.way == "exports after a scan"
        self.replica.keep(
            snapshot="scan" if scans else "export", follow="exports", deletes=self.deletes
        )
        self.write(5)
        if scans:
            self.covered = self.now() - timedelta(minutes=self.dice.randrange(90))
        else:
            self.export()
        self.maybe(self.sync)
        for _ in range(STEPS // 3):
            self.write(6, minutes=40)
            self.maybe(self.window)
            self.maybe(self.sync)
        self.replica.rig.clock.advance(minutes=20)
        self.window()
        # A window that has ended before the table was read would show nothing of it.
        self.sync()

    def _filled(self) -> None:
        self.replica.keep(deletes=self.deletes)
        self.write(5)
        self.export()
        for _ in range(4):
            self.write(6, minutes=240)
            self.maybe(self.roll)
            self.window()
        self.write(4)
        self.sync()
        self.write(4)
        self.sync()

    def _repaired(self) -> None:
        on_gap = self.dice.choice(("repair", "fail"))
        self.replica.keep(snapshot="scan", deletes=self.deletes, on_gap=on_gap)
        self.write(5)
        self.sync()
        self.write(5)
        self.maybe(self.sync)
        self.covered = self.now() - timedelta(hours=self.dice.uniform(7, 14))
        renewed = self.dice.random() < 0.3
        if renewed:
            self.replica.model.disable_stream()
        for _ in range(4):
            self.write(6, minutes=240)
            if not renewed:
                self.maybe(self.roll)
            self.window()
        if renewed:
            self.replica.model.enable_stream()
            self.write(3)
            self.replica.rig.clock.advance(minutes=30)
            self.window()
        self.write(4)
        if on_gap == "fail":
            self.expect_lost()
            self.run(lambda: self.replica.run().repair(caught_up))
        self.sync()
        self.write(4)
        self.sync()

    # What happens --------------------------------------------------------------------------

    def now(self) -> datetime:
        """The time, in whole seconds."""
        return self.replica.now()

    def maybe(self, act: Callable[[], object]) -> None:
        """Does something, or not."""
        if self.dice.random() < 0.6:
            act()

    def roll(self) -> None:
        """Another shard."""
        self.replica.model.stream.roll()

    def write(self, steps: int, minutes: float = 3.0) -> None:
        """Puts and deletes of few keys, with contents that come again."""
        for _ in range(steps):
            self.replica.rig.clock.advance(minutes=self.dice.random() * 2 * minutes)
            name = self.dice.randrange(KEYS)
            if self.dice.random() < 0.45:
                self.replica.model.delete(key(name))
            else:
                self.replica.model.put(order(name, self.dice.randrange(3)))
            self.trace.append(f"{self.now()} {name}")

    def export(self) -> None:
        """A full export as of now."""
        self.replica.rig.clock.advance(seconds=1)
        self.covered = self.exported_at = self.now()
        items = self.replica.model.rows.as_of(self.covered.timestamp() - 1e-6)
        folder = self.replica.folder / "exports"
        exports.write(
            folder, self.replica.model, self.covered, items=[each.item for each in items], name="0"
        )
        self.replica.rig.clock.advance(seconds=1)

    def window(self) -> None:
        """Windows from where the last one ended, or from before that, to now."""
        assert self.covered is not None
        while self.now() - self.covered >= SHORTEST:
            begin = self.covered
            exact = self.way == "filler" or begin == self.exported_at
            if self.dice.random() < 0.3 and not exact:
                begin -= timedelta(minutes=self.dice.randrange(50))
            end = min(self.now(), begin + timedelta(hours=24))
            count = len(list(self.replica.folder.glob("exports/AWSDynamoDB/*")))
            name = f"{self.dice.randrange(100):02}-{count}"
            self.replica.window(begin, end, name=name, files=1 + self.dice.randrange(3))
            self.trace.append(f"window {begin} to {end}")
            self.covered = end

    def sync(self) -> None:
        """A run to its end, perhaps after others that were killed."""
        self.run(lambda: self.replica.sync(caught_up))

    def run(self, step: Callable[[], object]) -> None:
        """A step, perhaps after tries of it that were killed."""
        while self.dice.random() < 0.4:
            point = f"{self.dice.choice(POINTS)}:{1 + self.dice.randrange(3)}"
            self.trace.append(f"killed at {point}")
            self.kills += 1
            with crash_at(point):
                step()
        self.runs += 1
        self.trace.append(f"{self.now()} run")
        step()

    def expect_lost(self) -> None:
        """A run that finds out that changes are lost, unless nothing was in what is gone."""
        try:
            self.replica.sync(caught_up)
        except (HistoryLost, NeedsPerson) as error:
            self.trace.append(error.message)

    def assert_equal(self) -> None:
        """The live rows are the items, and no shard of what was filled in is open."""
        live = "" if self.deletes == "apply" else " WHERE _deleted IS NOT TRUE"
        columns = self.replica.state().columns
        found = dict(self.replica.sql(f"SELECT id, n FROM orders{live}")) if "n" in columns else {}
        assert found == self.replica.truth()
        state = self.replica.state()
        assert state.problem is None
        assert all(c.done for name, c in state.shards.items() if name.startswith(EARLIER))
        if self.way in ("filler", "repair"):
            assert state.consistent_since is not None
