"""Histories of a table and its Kinesis stream that are drawn from a seed."""

import random
from dataclasses import dataclass, field

from connector.errors import ConnectorError, HistoryLost, Transient
from tests.rigs.scripted import faults
from tests.rigs.scripted.scenario import Before, Delete, Expire, Put, Update

from .replica import Crash, Followed

FAULTS = (
    faults.throttle(),
    faults.expired_iterator(),
    faults.internal_server_error(),
    faults.html(),
    faults.cut_body(),
    faults.cut_connection(),
    faults.empty_page(),
    faults.wrong_body(b"{}"),
)
CALLS = ("GetRecords", "GetShardIterator", "ListShards", "Scan", "BatchGetItem")
CRASHES = (
    "plan.after_commit",
    "tail.after_read",
    "tail.after_fold",
    "tail.after_look_up",
    "commit.after_schema",
    "commit.after_merge",
    "commit.before_commit",
    "commit.after_commit",
    "load.before_commit",
    "load.before_drop",
)


@dataclass
class Drawn:
    """Plays what a seed says, and looks at the replica whenever a run has come to its end."""

    replica: Followed
    dice: random.Random
    trace: list[str] = field(default_factory=list)

    def play(self, actions: int) -> None:
        """So many actions, and then the world heals."""
        self.replica.play(Before(self.dice.randrange(5)))
        for _ in range(actions):
            action = self.dice.choice(
                (self.write,) * 6
                + (self.deliver,) * 4
                + (self.sync,) * 4
                + (self.again, self.grow, self.fault, self.fault, self.wait, self.crash, self.crash)
                + (self.precision, self.refresh)
            )
            self.trace.append(action.__name__)
            action()
        self.heal()
        self.run(self.replica.sync)
        self.replica.assert_equal()

    def write(self) -> None:
        """Writes of every kind; some wait."""
        stream = self.replica.kinesis
        stream.holding = self.dice.random() < 0.5
        for _ in range(self.dice.randrange(1, 8)):
            name, n = f"k{self.dice.randrange(6)}", self.dice.randrange(1000)
            more = {"b": {"B": "aGVsbG8="}} if self.dice.random() < 0.1 else {}
            step = self.dice.choice((Put(name, n, more), Update(name, n), Delete(name)))
            self.replica.play(Expire(name) if self.dice.random() < 0.1 else step)
            if self.dice.random() < 0.3:
                self.replica.rig.clock.advance(self.dice.choice((0.0004, 0.001, 1, 60)))
        stream.holding = False

    def deliver(self) -> None:
        """Some of what waits arrives, in any order."""
        held = list(self.replica.kinesis.held)
        self.dice.shuffle(held)
        self.replica.kinesis.deliver(held[: self.dice.randrange(len(held) + 1)])

    def again(self) -> None:
        """Something arrives again."""
        arrived = [e for e in self.replica.kinesis.written if e not in self.replica.kinesis.held]
        recent = [e for e in arrived if e.at > self.replica.rig.clock.now() - 8 * 3600]
        if recent:
            self.replica.kinesis.deliver(self.dice.choices(recent, k=2))

    def grow(self) -> None:
        """A shard splits, or two are merged."""
        stream = self.replica.kinesis
        shards = stream.open_shards()
        if len(shards) > 1 and self.dice.random() < 0.5:
            at = self.dice.randrange(len(shards) - 1)
            stream.merge(shards[at], shards[at + 1])
        elif len(shards) < 5:
            stream.split(self.dice.choice(shards))

    def fault(self) -> None:
        """Some calls fail."""
        on = self.dice.choice(CALLS)
        effect = self.dice.choice(FAULTS[2:6] if on != "GetRecords" else FAULTS)
        times, after = self.dice.randrange(1, 4), self.dice.randrange(3)
        self.replica.rig.faults.add(effect, on=on, times=times, after=after)

    def wait(self) -> None:
        """Time passes, but less than the stream keeps its records."""
        self.replica.rig.clock.advance(hours=self.dice.choice((0.1, 1, 5)))
        self.sync()

    def precision(self) -> None:
        """Times become more or less exact."""
        kinds = ("MILLISECOND", "MICROSECOND", "SECOND")
        self.replica.kinesis.precision = self.dice.choice(kinds)
        self.replica.kinesis.says_precision = self.dice.random() < 0.5

    def crash(self) -> None:
        """A run is killed."""
        at = f"{self.dice.choice(CRASHES)}:{self.dice.randrange(1, 4)}"
        self.trace.append(at)
        self.run(lambda: self.replica.crash(at))

    def refresh(self) -> None:
        """All is read again."""
        if self.replica.destination.read(self.replica.table) is not None:
            self.run(self.replica.refresh)

    def sync(self) -> None:
        """A run to its end; what has arrived is there then."""
        if self.run(self.replica.sync) and not self.replica.kinesis.held:
            self.replica.assert_equal()

    def run(self, run: object) -> bool:
        """Runs; true if it came to its end."""
        try:
            run()  # type: ignore[operator]
        except (Crash, Transient) as error:
            self.trace.append(type(error).__name__)
            return False
        except HistoryLost as error:
            raise AssertionError(f"nothing was lost, but {error}") from error
        except ConnectorError:
            raise
        return True

    def heal(self) -> None:
        """Nothing fails any more, and all that waits arrives."""
        self.replica.rig.faults.clear()
        held = list(self.replica.kinesis.held)
        self.dice.shuffle(held)
        self.replica.kinesis.deliver(held)
        self.replica.rig.clock.advance(1)


def play_drawn(replica: Followed, seed: int, actions: int) -> Drawn:
    """One history. An error says what was done."""
    random.seed(seed)
    drawn = Drawn(replica, random.Random(seed))
    try:
        drawn.play(actions)
    except Exception as error:
        error.add_note(f"seed {seed}: " + ", ".join(drawn.trace))
        raise
    return drawn
