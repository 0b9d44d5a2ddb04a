"""Soak: random topologies, faults and kills against the scripted server, for as long as wanted.

    python -m benchmarks.soak --minutes 30
    python -m benchmarks.soak --seed 4711 --schedules 1     # repeats one schedule

Every schedule is drawn from its own seed and played in virtual time: one minute holds some days of
a hundred streams. The independent checker of the tests looks at every commit. The first divergence
ends the soak, with the seed that repeats it.
"""

import argparse
import logging
import os
import random
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, fields
from pathlib import Path
from unittest.mock import patch

from tests.exports.histories import WAYS, History
from tests.exports.replica import Exported
from tests.kinesis.drawn import play_drawn
from tests.kinesis.replica import Followed
from tests.pipeline.replica import ORDERS, SCHEMA
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB
from tests.rigs.scripted.scenario import Create
from tests.stream.claims import Tally
from tests.stream.drawn import VIEWS, play_random
from tests.stream.replica import Replica
from tests.stream.schedule import Schedule
from tests.stream.world import ENVIRONMENT, pages, world

SIZES = (1, 400, 2**20)
ACTIONS = 40
BY_KINESIS = 4
"""Of so many schedules, one follows a Kinesis stream."""
EXPORTS_IN = 25
"""Of so many schedules, one is of a table that incremental exports bring along."""
IN_A_FILE = 40
"""Of so many schedules, one keeps its replica in a DuckDB file; the others keep it in memory."""
REPORT_SECONDS = 60.0


@dataclass
class Counts(Tally):
    """What all schedules together did."""

    schedules: int = 0
    faults: int = 0
    hours: int = 0

    def add(self, schedule: Schedule) -> None:
        """Takes one schedule's counts."""
        replica = schedule.replica
        for each in fields(Tally):
            mine, theirs = getattr(self, each.name), getattr(replica.checker.tally, each.name)
            setattr(self, each.name, mine + theirs)
        self.schedules += 1
        self.faults += schedule.faults_met
        self.hours += round((replica.rig.clock.now() - schedule.began_at) / 3600)

    def __str__(self) -> str:
        return (
            f"{self.schedules:,} schedules of {self.hours:,} virtual hours: {self.runs:,} runs, "
            f"{self.commits:,} commits, {self.records:,} records, {self.faults:,} faults, "
            f"{self.crashes:,} kills, {self.gaps:,} gaps reported"
        )


def play(server: ScriptedDynamoDB, seed: int, counts: Counts, ways: str = "any") -> None:
    """One schedule. Raises where the replica diverged, with what was done."""
    dice = random.Random(seed)
    if ways == "exports" or (ways == "any" and seed % EXPORTS_IN == 1):
        play_exports(dice, counts)
        return None
    # The program's own jitter, too.
    random.seed(seed)
    if ways == "kinesis" or (ways == "any" and seed % BY_KINESIS == 1):
        return play_kinesis(server, seed, counts)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, world(server) as rig:
        where = Path(folder) if seed % IN_A_FILE == 0 else None
        shards, view = dice.choice((1, 1, 2, 4)), dice.choice(VIEWS)
        Create(shards=shards, view=view).play(replica := Replica(rig, folder=where))
        schedule = Schedule(replica, view)
        try:
            with pages(dice.choice(SIZES), dice.choice(SIZES)):
                play_random(schedule, dice, ACTIONS, readers=dice.choice((1, 1, 4)))
        except Exception as error:
            error.add_note("\n".join(schedule.trace))
            raise
        finally:
            counts.add(schedule)


def play_kinesis(server: ScriptedDynamoDB, seed: int, counts: Counts) -> None:
    """One schedule of a table that a Kinesis stream follows."""
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, world(server) as rig:
        where = Path(folder) if seed % IN_A_FILE == 1 else None
        began = rig.clock.now()
        drawn = play_drawn(Followed(rig, folder=where, shards=1 + seed % 3), seed, ACTIONS)
        counts.schedules += 1
        counts.crashes += drawn.trace.count("Crash")
        counts.faults += drawn.trace.count("fault")
        counts.hours += round((rig.clock.now() - began) / 3600)


def play_exports(dice: random.Random, counts: Counts) -> None:
    """One history of a table that is followed, filled in or repaired by incremental exports."""
    way, deletes = dice.choice(WAYS), dice.choice(("apply", "soft"))
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as folder,
        patch.dict(os.environ, ENVIRONMENT),
        ScriptedDynamoDB(clock=RunningClock()) as rig,
    ):
        rig.clock.advance(hours=-200)
        rig.create_table(ORDERS, SCHEMA, shards=dice.choice((1, 1, 3)))
        settings: dict[str, object] = {
            "spool": f"{folder}/spool",
            "tail.batch_records": dice.choice((1, 3, 1000)),
        }
        history = History(Exported(rig, Path(folder), settings=settings), dice, way, deletes)
        began = rig.clock.now()
        try:
            history.play()
        except Exception as error:
            error.add_note("\n".join(history.trace))
            raise
        finally:
            counts.schedules += 1
            counts.runs += history.runs
            counts.crashes += history.kills
            counts.hours += round((rig.clock.now() - began) / 3600)


def main() -> int:
    """Plays schedules until the time is over, or one diverges."""
    parser = argparse.ArgumentParser(prog="benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default: 30)")
    parser.add_argument("--seed", type=int, default=None, help="the first schedule's seed")
    parser.add_argument("--ways", choices=("any", "stream", "kinesis", "exports"), default="any")
    parser.add_argument("--schedules", type=int, default=None, help="at most so many schedules")
    arguments = parser.parse_args()
    logging.getLogger("connector").setLevel(logging.CRITICAL)
    first = random.SystemRandom().randrange(10**9) if arguments.seed is None else arguments.seed
    print(f"seed {first}", flush=True)
    counts, began = Counts(), time.monotonic()
    reported = began
    with ScriptedDynamoDB() as server:
        while time.monotonic() - began < arguments.minutes * 60:
            if counts.schedules == arguments.schedules:
                break
            seed = first + counts.schedules
            try:
                play(server, seed, counts, arguments.ways)
            except Exception:
                traceback.print_exc()
                print(counts)
                again = f"--seed {seed} --schedules 1 --ways {arguments.ways}"
                print(f"diverged: python -m benchmarks.soak {again}")
                return 1
            if time.monotonic() - reported > REPORT_SECONDS:
                reported = time.monotonic()
                print(counts, flush=True)
    print(counts)
    print(f"no divergence in {(time.monotonic() - began) / 60:.1f} minutes, seed {first}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
