"""Histories drawn by a die: what was lost in between, refreshes, switches, and kills.

Outside of what nobody saw, a history says at any time what the source had then.
"""

import os
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from connector.core.state import Phase
from connector.errors import HistoryLost
from tests.pipeline.replica import ORDERS, Replica, key, order
from tests.properties.crashes import crash_at
from tests.rigs.combinations import amount

from .truth import CLOCK, MOMENT, check_history, check_log, is_of, versions_of

pytestmark = pytest.mark.by_turns("url")

SEEDS = range(40 if os.environ.get("TEST_SCALE") == "large" else amount(3, by_turns=1))
STEPS = amount(14, by_turns=8)
KEYS = 6
POINTS = [
    "plan.after_commit",
    "load.before_commit",
    "load.after_commit",
    "tail.after_fold",
    "commit.after_merge",
    "commit.after_commit",
]
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
Life = dict[str, list[tuple[datetime, int | None]]]


class Drawn:
    """One table, and what it had at each time, as only this test knows."""

    def __init__(self, replica: Replica, seed: int) -> None:
        self.replica = replica
        self.replica.settings[f"tables.{ORDERS}.max_deleted"] = 1.0
        self.dice = random.Random(seed)
        self.number = 0
        self.life: Life = defaultdict(list)
        self.unknown: list[tuple[datetime, datetime]] = []

    @property
    def now(self) -> datetime:
        """The time at the source."""
        return self.replica.rig.clock.datetime()

    def play(self) -> None:
        """Some steps, and then the end."""
        began = self.now
        self.replica.model.load(order(n, 0) for n in range(KEYS))
        for n in range(KEYS):
            self.life[str(n)].append((began, 0))
        self.sync()
        self.unknown.append((began, self.now))
        steps: list[Callable[[], None]] = [self.sync, self.refresh, self.lose, self.switch]
        for _ in range(STEPS):
            self.write()
            if self.dice.random() < 0.5:
                self.killed(self.dice.choice(steps))
        self.sync()

    def write(self) -> None:
        """A few puts and deletes, some of one order within a second."""
        table = self.replica.model
        self.replica.rig.clock.advance(self.dice.choice((0, 5, 90)))
        for _ in range(self.dice.randrange(1, 6)):
            id_ = self.dice.randrange(KEYS + 2)
            act = self.dice.choice((table.delete, table.expire, None, None))
            before = self.now
            if act is None:
                self.number += 1
                table.put(order(id_, self.number))
            else:
                act(key(id_))
            self.life[str(id_)].append((before, None if act else self.number))

    def killed(self, step: Callable[[], None]) -> None:
        """A step that may be killed somewhere, and is then done again."""
        if self.dice.random() < 0.4:
            with crash_at(self.dice.choice(POINTS)):
                step()
            self.mend()
        step()

    def mend(self) -> None:
        """What a killed step has left is as it would be before the next one."""
        if not self.replica.model.streaming:
            self.replica.model.enable_stream()
        self.replica.settings[f"tables.{ORDERS}.history"] = True

    def sync(self) -> None:
        """A run that reads all there is, and everything again if something was lost."""
        try:
            self.replica.sync()
        except HistoryLost:
            self.replica.run().snapshot(full_refresh=True)
            self.replica.sync()
        assert self.replica.state().phase is Phase.TAILING

    def refresh(self) -> None:
        """Everything is read again."""
        self.replica.run().snapshot(full_refresh=True)
        self.sync()

    def lose(self) -> None:
        """Some changes are in no stream."""
        began = self.now
        self.sync()
        self.unknown.append((began, datetime.max.replace(tzinfo=began.tzinfo)))
        self.replica.model.disable_stream()
        self.write()
        self.replica.model.enable_stream()
        self.sync()
        self.known_again()

    def switch(self) -> None:
        """For a while nobody keeps versions."""
        began = self.now
        self.sync()
        self.unknown.append((began, datetime.max.replace(tzinfo=began.tzinfo)))
        self.replica.settings[f"tables.{ORDERS}.history"] = False
        self.sync()
        self.write()
        self.sync()
        self.replica.settings[f"tables.{ORDERS}.history"] = True
        self.sync()
        self.known_again()

    def known_again(self) -> None:
        """Ends what is unknown; a killed step may have left some of it."""
        end = self.now
        self.unknown = [(began, min(until, end)) for began, until in self.unknown]

    def check(self) -> None:
        """Everything that a history promises."""
        self.replica.assert_equal()
        check_log(self.replica)
        check_history(self.replica, gaps=True)
        versions = versions_of(self.replica)
        for id_, life in self.life.items():
            mine = versions.get(id_, [])
            for each in mine:
                assert each["_op"] in ("snapshot", "insert", "update", "gap")
            self._check_truth(id_, mine, [(NEVER, None), *life])
            self._check_gaps(mine)

    def _check_truth(
        self,
        id_: str,
        versions: list[dict[str, object]],
        life: list[tuple[datetime, int | None]],
    ) -> None:
        edges = {at for v in versions for at in (v["_valid_from"], v["_valid_to"]) if at}
        edges |= {at for at, _ in life[1:]}
        for edge in sorted(edges):  # type: ignore[type-var]
            for at in (edge - MOMENT, edge, edge + MOMENT):  # type: ignore[operator]
                if any(began - CLOCK <= at <= until + CLOCK for began, until in self.unknown):
                    continue
                then = [v["n"] for v in versions if is_of(v, at)]
                # A stream only says in which second something was changed.
                could = [n for since, n in life if since <= at][-1:]
                could += [n for since, n in life if at - CLOCK / 2 <= since <= at + CLOCK / 2]
                could += [
                    before
                    for (_, before), (since, _) in pairwise(life)
                    if at - CLOCK / 2 <= since <= at + CLOCK / 2
                ]
                truths = [[] if n is None else [n] for n in could]
                assert then in truths, (id_, at, versions, life, self.unknown)

    def _check_gaps(self, versions: list[dict[str, object]]) -> None:
        for before, after in pairwise(versions):
            if after["_op"] == "gap":
                assert before["_ended_by"] in ("gap", "delete", "expiry", "update"), versions
            if before["_ended_by"] == "gap" and before["_valid_to"] == after["_valid_from"]:
                assert after["_op"] == "gap", versions


@pytest.mark.parametrize("seed", SEEDS)
def test_a_history_is_true_outside_of_what_nobody_saw(replica: Replica, seed: int) -> None:
    drawn = Drawn(replica, seed)
    drawn.play()
    drawn.check()
