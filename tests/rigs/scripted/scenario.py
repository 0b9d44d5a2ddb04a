"""Scenarios as data: what happens to a table and its stream, one step after the other.

    Put("a", 1), Roll(), Put("a", 2), Wait(hours=5), Split(into=2), Delete("a"),
    During("GetRecords", Trim(), after=3), Fault("throttle", on="Scan", times=4)

Shards are named by their lineage. A stream begins with the shards "0", "1", …; the children of
"0" are "0.0", "0.1", …, so "0.0.0" is the shard after two rollovers. Where a step that ends a shard
names none, it takes the first open one.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from . import faults
from .items import Key, KeySchema
from .replication import Replication
from .service import ScriptedDynamoDB
from .shards import SequenceNumbers, Shard
from .stream import Stream
from .table import Table

TABLE = "orders"
SCHEMA = KeySchema(Key("id"))


def key(name: object) -> dict[str, Any]:
    """The key of an item."""
    return {"id": {"S": str(name)}}


def item(name: object, n: object, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An item with a number, and whatever more."""
    return {**key(name), "n": {"N": str(n)}, **(more or {})}


@dataclass
class Stage:
    """The server, and the one table that scenarios are about."""

    rig: ScriptedDynamoDB
    table: str = TABLE

    @property
    def model(self) -> Table:
        """The table."""
        return self.rig.model(self.table)

    @property
    def stream(self) -> Stream:
        """Its newest stream."""
        return self.model.stream

    def shard(self, lineage: str) -> Shard:
        """The shard with this lineage; "" is the first open one."""
        if not lineage:
            return self.stream.open_shards()[0]
        parent: str | None = None
        for place in lineage.split("."):
            siblings = [each for each in self.stream.shards.values() if each.parent == parent]
            found = siblings[int(place)]
            parent = found.id
        return found

    def play(self, *steps: "Step") -> None:
        """Plays steps in their order."""
        for step in steps:
            step.play(self)


class Step:
    """Something that happens."""

    def play(self, stage: Any) -> None:
        """Makes it happen."""
        raise NotImplementedError


# What is written to the table


@dataclass(frozen=True)
class Put(Step):
    """An item is put: its key, its number, and attributes in wire form."""

    name: str
    n: object = 0
    more: Mapping[str, Any] = field(default_factory=dict)

    def play(self, stage: Stage) -> None:
        """Puts it."""
        stage.model.put(item(self.name, self.n, self.more))


@dataclass(frozen=True)
class Update(Step):
    """An item's number changes; its other attributes stay."""

    name: str
    n: object

    def play(self, stage: Stage) -> None:
        """Updates it."""
        stage.model.update(key(self.name), {"n": {"N": str(self.n)}})


@dataclass(frozen=True)
class Delete(Step):
    """Items are deleted."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)

    def play(self, stage: Stage) -> None:
        """Deletes them."""
        stage.model.delete(*map(key, self.names))


@dataclass(frozen=True)
class Expire(Step):
    """An item's time to live is over: the service deletes it."""

    name: str

    def play(self, stage: Stage) -> None:
        """Expires it."""
        stage.model.expire(key(self.name))


@dataclass(frozen=True)
class Before(Step):
    """Items that were there before the stream was: they have no records."""

    count: int
    size: int = 0

    def play(self, stage: Stage) -> None:
        """Loads them."""
        more = {"padding": {"S": "x" * self.size}} if self.size else {}
        stage.model.load(item(f"old {n}", n, more) for n in range(self.count))


@dataclass(frozen=True)
class Write(Step):
    """Writes of every kind to a few keys, drawn from a seed."""

    count: int
    seed: int = 0
    keys: int = 12

    _KINDS: ClassVar = ("put", "put", "put", "update", "delete", "expire")

    def play(self, stage: Stage) -> None:
        """Writes."""
        dice = random.Random(self.seed)
        for _ in range(self.count):
            name, n = f"k{dice.randrange(self.keys)}", dice.randrange(10**6)
            match dice.choice(self._KINDS):
                case "put":
                    more = dice.choice(({}, {"tag": {"S": f"t{n % 7}"}}, {"ok": {"BOOL": True}}))
                    stage.play(Put(name, n, more))
                case "update":
                    stage.play(Update(name, n))
                case "delete":
                    stage.play(Delete(name))
                case "expire":
                    stage.play(Expire(name))


@dataclass(frozen=True)
class Append(Step):
    """A record stands in the stream that no write made; `without` and `changed` spoil it."""

    name: str
    n: object = 0
    event: str = "MODIFY"
    without: tuple[str, ...] = ()
    changed: Mapping[str, Any] = field(default_factory=dict)
    shard: str = ""

    def play(self, stage: Stage) -> None:
        """Appends it."""
        stream = stage.stream
        change: dict[str, Any] = {
            "ApproximateCreationDateTime": int(stage.rig.clock.now()),
            "Keys": key(self.name),
            "NewImage": item(self.name, self.n),
            "SequenceNumber": str(stream.numbers.last() + 1),
            "StreamViewType": stream.view,
        }
        if self.event == "REMOVE":
            del change["NewImage"]
        content: dict[str, Any] = {
            "eventID": f"{stream.numbers.last():032x}",
            "eventName": self.event,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": stream.region,
            "dynamodb": change,
        }
        for name, value in self.changed.items():
            (change if name in change else content)[name] = value
        for name in self.without:
            change.pop(name, None)
            content.pop(name, None)
        stream.append(content, stage.shard(self.shard))


# What happens to the stream


@dataclass(frozen=True)
class Roll(Step):
    """A shard ends, and its only child begins; the child is listed `late` seconds later."""

    shard: str = ""
    late: float = 0.0
    unlisted: int = 0
    """So many listings do not show the child."""

    def play(self, stage: Stage) -> None:
        """Rolls it over."""
        shard = stage.shard(self.shard)
        stage.stream.roll(shard, listed_after=self.late, unlisted_listings=self.unlisted)


@dataclass(frozen=True)
class RollAll(Step):
    """Every open shard rolls over, as it does about every four hours."""

    def play(self, stage: Stage) -> None:
        """Rolls them."""
        stage.stream.roll_all()


@dataclass(frozen=True)
class Split(Step):
    """A shard ends, and several children share its keys."""

    shard: str = ""
    into: int = 2
    late: float = 0.0
    unlisted: int = 0

    def play(self, stage: Stage) -> None:
        """Splits it."""
        stage.stream.split(
            stage.shard(self.shard),
            self.into,
            listed_after=self.late,
            unlisted_listings=self.unlisted,
        )


@dataclass(frozen=True)
class Close(Step):
    """A shard ends; its child begins with the next write."""

    shard: str = ""

    def play(self, stage: Stage) -> None:
        """Closes it."""
        stage.stream.close(stage.shard(self.shard))


@dataclass(frozen=True)
class Trim(Step):
    """A shard's records are dropped before their time; "" is every shard."""

    shard: str = ""

    def play(self, stage: Stage) -> None:
        """Trims."""
        stage.stream.trim(stage.shard(self.shard) if self.shard else None)


@dataclass(frozen=True)
class Hide(Step):
    """Listings do not show a shard, though it can be read."""

    shard: str

    def play(self, stage: Stage) -> None:
        """Hides it."""
        stage.shard(self.shard).listed = False


@dataclass(frozen=True)
class Show(Step):
    """Listings show a shard again."""

    shard: str

    def play(self, stage: Stage) -> None:
        """Shows it."""
        stage.shard(self.shard).listed = True


@dataclass(frozen=True)
class Vanish(Step):
    """A shard is gone: not listed, and not to be read."""

    shard: str

    def play(self, stage: Stage) -> None:
        """Lets it go."""
        shard = stage.shard(self.shard)
        shard.listed = shard.resolves = False


@dataclass(frozen=True)
class Unresolve(Step):
    """A shard is still listed, but whoever asks for it hears that there is no such shard."""

    shard: str

    def play(self, stage: Stage) -> None:
        """Takes it away."""
        stage.shard(self.shard).resolves = False


@dataclass(frozen=True)
class Resolve(Step):
    """A shard can be read again."""

    shard: str

    def play(self, stage: Stage) -> None:
        """Gives it back."""
        stage.shard(self.shard).resolves = True


@dataclass(frozen=True)
class LooksOpen(Step):
    """Listings show a shard as open, whether it is or not."""

    shard: str
    so: bool = True

    def play(self, stage: Stage) -> None:
        """Lets the listing lie, or stops that."""
        stage.shard(self.shard).listed_open = self.so


@dataclass(frozen=True)
class Numbers(Step):
    """Sequence numbers go on from here."""

    first: int

    def play(self, stage: Stage) -> None:
        """Jumps."""
        stage.rig.numbers.jump_to(self.first)


@dataclass(frozen=True)
class Disable(Step):
    """The stream is switched off."""

    def play(self, stage: Stage) -> None:
        """Disables it."""
        stage.model.disable_stream()


@dataclass(frozen=True)
class Enable(Step):
    """A new stream is switched on."""

    view: str = "NEW_AND_OLD_IMAGES"
    shards: int = 1

    def play(self, stage: Stage) -> None:
        """Enables it."""
        stage.model.enable_stream(self.view, self.shards)


@dataclass(frozen=True)
class Drop(Step):
    """The table is deleted."""

    def play(self, stage: Stage) -> None:
        """Deletes it."""
        stage.rig.delete_table(stage.table)


@dataclass(frozen=True)
class Create(Step):
    """A table is made, empty."""

    shards: int = 1
    view: str | None = "NEW_AND_OLD_IMAGES"

    def play(self, stage: Stage) -> None:
        """Makes it."""
        stage.rig.create_table(stage.table, SCHEMA, view=self.view, shards=self.shards)


@dataclass(frozen=True)
class Elsewhere(Step):
    """The Region is lost, and some of its last writes with it: a replica in another one is left.

    Its stream has numbers of its own, which are lower.
    """

    region: str
    seed: int = 0
    shards: int = 1
    view: str | None = "NEW_AND_OLD_IMAGES"

    def play(self, stage: Stage) -> None:
        """Leaves the replica alone."""
        dice = random.Random(self.seed)
        rig, before = stage.rig, stage.model
        left = [dict(item) for item in before.items() if dice.random() < 0.8]
        reverted = [{**item, "n": {"N": "-1"}} if dice.random() < 0.3 else item for item in left]
        rig.delete_table(stage.table)
        rig.region, rig.numbers = self.region, SequenceNumbers(first=10**15)
        made = rig.create_table(stage.table, SCHEMA, view=self.view, shards=self.shards)
        made.load(reverted)
        made.group = Replication({before.region: before, self.region: made}, held=True)


# Time, and what goes wrong with calls


@dataclass(frozen=True)
class Wait(Step):
    """Time passes."""

    seconds: float = 0.0
    minutes: float = 0.0
    hours: float = 0.0

    def play(self, stage: Stage) -> None:
        """Moves the clock on."""
        stage.rig.clock.advance(self.seconds, minutes=self.minutes, hours=self.hours)


@dataclass(frozen=True)
class Fault(Step):
    """Calls of one operation meet one of the effects in `faults`, by its name."""

    name: str
    on: str = "*"
    times: int | None = None
    after: int = 0
    chance: float = 1.0
    seed: int = 0
    having: tuple[Any, ...] = ()
    """What the effect is made from, such as the wrong body."""

    def play(self, stage: Stage) -> None:
        """Adds it."""
        stage.rig.faults.add(
            getattr(faults, self.name)(*self.having),
            on=self.on,
            times=self.times,
            after=self.after,
            chance=self.chance,
            seed=self.seed,
        )


@dataclass(frozen=True)
class Heal(Step):
    """Every fault ends."""

    def play(self, stage: Stage) -> None:
        """Clears them."""
        stage.rig.faults.clear()


@dataclass(frozen=True)
class During(Step):
    """Steps that happen just before a call is answered, `after` so many others of its kind."""

    on: str
    steps: tuple[Step, ...]
    after: int = 0
    times: int = 1

    def __init__(self, on: str, *steps: Step, after: int = 0, times: int = 1) -> None:
        for name, value in (("on", on), ("steps", steps), ("after", after), ("times", times)):
            object.__setattr__(self, name, value)

    def play(self, stage: Stage) -> None:
        """Lies in wait."""
        effect = faults.run(lambda: stage.play(*self.steps))
        stage.rig.faults.add(effect, on=self.on, times=self.times, after=self.after)
