"""Everything that can happen to a replica, as actions that a machine or a die may choose from."""

import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from connector.errors import NeedsPerson, SourceRefused, Transient
from tests.destinations.fake import FakeDestination
from tests.rigs.scripted import Shard
from tests.rigs.scripted.scenario import (
    Before,
    Create,
    Disable,
    Drop,
    During,
    Elsewhere,
    Enable,
    Fault,
    Heal,
    Step,
    Write,
)

from .claims import SHARD
from .memory import copied, restored
from .misfortunes import FAILPOINTS, FAULTS
from .replica import Crash, Replica

QUIET = 6.0
REGIONS = ("us-west-2", "eu-west-1")
SURE_HOURS = 23.0
"""Within this time of the last success nothing can be trimmed: a loss must not be reported."""


class NoReason(AssertionError):
    """A run failed though nothing was wrong with the world."""


class _Call(Step):
    """Something done while a call is on its way."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action = action

    def play(self, stage: Any) -> None:
        """Does it."""
        self._action()


@dataclass(frozen=True)
class _Backup:
    """The destination, and what the checker knew, at one moment."""

    content: dict[str, bytes]
    generation: Any
    rows: Any
    at: float


@dataclass
class Schedule:
    """One replica, what may happen to it, and how each run may end."""

    replica: Replica
    view: str = "NEW_AND_OLD_IMAGES"
    """The view type of each stream of the table."""
    succeeded_at: float = 0.0
    broken: bool = False
    """The stream is another one or none: only a full refresh helps."""
    backups: list[_Backup] = field(default_factory=list)
    faults_met: int = 0
    trace: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began_at = self.succeeded_at = self.replica.rig.clock.now()
        self.replica.settings |= {"tail.quiet_seconds": QUIET, "tail.poll_seconds": 2.0}

    # What happens to the source

    def write(self, count: int, seed: int) -> None:
        """A few writes to a few keys."""
        self.replica.play(Write(count, seed=seed, keys=6))

    def load(self, count: int) -> None:
        """Items that have no records, while the table is still unplanned."""
        if self.replica.checker.generation is None:
            self.replica.play(Before(count, size=200))

    def grow(self, pick: int, into: int, late: float, unlisted: int, torn: bool = False) -> None:
        """A shard rolls over or splits; its children may be listed late, or `torn` apart."""
        shard = self._open(pick)
        if self.replica.checker.generation is None:
            # A plan cannot know of a shard that no listing shows; what it misses is reported later.
            late, unlisted, torn = 0.0, min(unlisted, 1), False
        if shard and len(self.replica.stream.open_shards()) < 12:
            children = self.replica.stream.split(shard, into)
            for child in children:
                child.listed_at = self.replica.rig.clock.now() + late
                child.unlisted_listings = unlisted
            if torn:
                # No listing tells that it lacks one child: only a short delay can be waited for.
                for child in children:
                    child.listed_at, child.unlisted_listings = 0.0, 0
                children[-1].listed_at = self.replica.rig.clock.now() + QUIET - 1

    def close(self, pick: int) -> None:
        """A shard ends; its child begins with the next write, at the latest soon."""
        shard = self._open(pick)
        if shard:
            stream = self.replica.stream
            stream.close(shard)

            def open_child() -> None:
                if not shard.is_open and shard in stream.leaves and self.replica.model.streaming:
                    stream.open_children(shard)

            self.replica.after(_Call(open_child), seconds=20)

    def hide(self, pick: int, listings: int) -> None:
        """Some listings leave a shard out that was known before."""
        shard = self._any(pick)
        checker = self.replica.checker
        if checker.generation and SHARD + shard.id in checker.generation.places:
            shard.unlisted_listings = listings

    def lie(self, pick: int, how: str) -> None:
        """For less than a minute a shard looks open, or does not resolve."""
        shard = self._any(pick)
        truth = how == "resolves"
        setattr(shard, how, not truth)
        self.replica.after(_Call(lambda: setattr(shard, how, truth)), seconds=40)

    def wait(self, seconds: float) -> None:
        """Nobody does anything."""
        self.replica.rig.clock.advance(seconds)

    def fault(self, which: int, times: int, after: int) -> None:
        """Some calls meet a fault."""
        name, on, having = FAULTS[which % len(FAULTS)]
        self.replica.play(Fault(name, on, times, after, having=having))

    def during(self, on: str, after: int, seed: int) -> None:
        """Writes, and perhaps the end of a shard, while a call is on its way."""

        def act() -> None:
            if self.replica.table in self.replica.rig.tables:
                self.write(2, seed)
                if seed % 3 == 0:
                    self.grow(seed, 1 + seed % 2, 0, 0)

        self.replica.play(During(on, _Call(act), after=after))

    def disable(self) -> None:
        """The stream is switched off, and after a while a new one is switched on."""
        self.replica.play(Disable())
        self.broken = True

    def recreate(self) -> None:
        """The table is deleted and made again."""
        self.replica.play(Drop(), Create(view=self.view), Before(3))
        self.broken = True

    def fail_over(self, seed: int, which: int | None) -> None:
        """The Region is lost, and the table goes on in the other one, if need be after a kill."""
        replica = self.replica
        if replica.checker.generation is None or not replica.model.streaming:
            return
        replica.settings["source.regions"] = list(REGIONS)
        there = next(each for each in REGIONS if each != replica.rig.region)
        self.broken = True
        replica.play(Elsewhere(there, seed, 1 + seed % 2, self.view))
        planned = replica.state().identity
        if planned.region == there and planned.stream_arn != replica.stream.arn:
            # A copy of the destination has come back from when it was there the last time.
            self._refresh()
            return
        if which is not None:
            at = FAILPOINTS[which % len(FAILPOINTS)]
            # The faults of before may meet it, too.
            with suppress(Transient):
                replica.crash(f"{at}:{1 + seed % 2}", lambda: replica.fail_over(there))
        self._heal()
        replica.fail_over(there)
        self.broken, self.succeeded_at = False, replica.rig.clock.now()

    def _open(self, pick: int) -> Shard | None:
        shards = self.replica.stream.open_shards()
        return shards[pick % len(shards)] if shards else None

    def _any(self, pick: int) -> Shard:
        shards = list(self.replica.stream.shards.values())[-6:]
        return shards[pick % len(shards)]

    # What happens to the replica

    def tune(self, batch_records: int, scan_pages: int, readers: int = 1) -> None:
        """Another configuration from the next run on."""
        self.replica.settings |= {"tail.batch_records": batch_records, "tail.readers": readers}
        self.replica.scan_pages = scan_pages

    def sync(self) -> None:
        """A run until it is caught up."""
        self._run(self.replica.sync)

    def follow(self, rounds: int) -> None:
        """A run of some rounds."""
        self._run(lambda: self.replica.rounds(rounds))

    def crash(self, which: int, nth: int) -> None:
        """A run that is killed."""
        at = FAILPOINTS[which % len(FAILPOINTS)]
        self._run(lambda: self.replica.crash(f"{at}:{nth}"))

    def rival(self, on: str, after: int) -> None:
        """A second run begins while the next one waits for an answer, and overtakes it."""

        def overtake() -> None:
            # It fails on its own, as another process would; the checker still sees its commits.
            with suppress(Transient, NeedsPerson, SourceRefused, Crash):
                self.replica.run().sync(lambda tail: tail.caught_up())

        self.replica.checker.runs_at_once += 1
        self.replica.play(During(on, _Call(overtake), after=after))

    def back_up(self) -> None:
        """The destination is copied."""
        destination, checker = self.replica.destination, self.replica.checker
        if isinstance(destination, FakeDestination) and checker.generation:
            known = copy.deepcopy((checker.generation, checker.rows))
            self.backups.append(_Backup(copied(destination), *known, at=self.succeeded_at))

    def restore(self, pick: int) -> None:
        """An earlier copy of the destination takes its place."""
        destination, checker = self.replica.destination, self.replica.checker
        if self.backups and isinstance(destination, FakeDestination):
            backup = copy.deepcopy(self.backups[pick % len(self.backups)])
            restored(destination, backup.content)
            checker.generation, checker.rows = backup.generation, backup.rows
            self.succeeded_at = backup.at
            # A table that was made again since then is no longer the one in the copy.
            model = self.replica.model
            now = checker.now_is
            same = model.id == now.table_id and model.stream.arn == now.stream_arn
            self.broken = self.broken or not same

    def _run(self, run: Callable[[], object]) -> None:
        began = self.replica.rig.clock.now()
        try:
            run()
        except Transient as error:
            if not self._disturbed():
                raise NoReason(f"{error!r} in an undisturbed world") from error
            self._heal()
        except SourceRefused as error:
            if self.replica.model.streaming:
                raise NoReason(f"{error!r} with a stream") from error
            self._refresh()
        except NeedsPerson as error:
            hours = (self.replica.rig.clock.now() - self.succeeded_at) / 3600
            if not self.broken and hours < SURE_HOURS:
                raise NoReason(f"{error!r}, {hours:.1f} hours after the last success") from error
            self._refresh()
        else:
            if run == self.replica.sync:
                self.succeeded_at = began

    def _refresh(self) -> None:
        """What a person does about a gap, or about a stream that is switched off."""
        self._heal()
        if not self.replica.model.streaming:
            self.replica.play(Enable(self.view))
        self.broken = False
        self.replica.refresh()
        self.succeeded_at = self.replica.rig.clock.now()

    def _disturbed(self) -> bool:
        rules = self.replica.rig.faults.rules
        return any(rule.fired for rule in rules) or bool(self.replica.later)

    def _heal(self) -> None:
        self.faults_met += sum(rule.fired for rule in self.replica.rig.faults.rules)
        self.replica.play(Heal())
        for _, steps in self.replica.later:
            self.replica.play(*steps)
        self.replica.later.clear()
        for shard in self.replica.stream.shards.values():
            shard.unlisted_listings, shard.listed_at = 0, 0.0

    def end(self) -> None:
        """The world heals, and the replica must become equal."""
        self._heal()
        self._run(self.replica.sync)
        if self.replica.checker.generation is None or self.succeeded_at == 0:
            raise NoReason("the last run did not come to its end")
