"""What the source really did, in plain Python, and plain forms of what was written of it.

Nothing here uses the program's own code: an error there must not hide in both sides.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from itertools import takewhile
from typing import Any

import pyarrow as pa

from tests.rigs.scripted import ScriptedDynamoDB, Shard, Stream

EVENTS = ("INSERT", "MODIFY", "REMOVE")
LOOKED_UP = ("KEYS_ONLY", "OLD_IMAGE")
REPLICATION = "aws:rep:"
TYPES = {"S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"}
OVERLAP = 15 * 60.0
"""Records so much older than the plan are the scan's: the stream's rows leave them out."""

Item = dict[str, Any]
Key = str


def plain(value: Mapping[str, Any]) -> Any:
    """A wire value as a plain value; numbers are Decimals in their shortest form."""
    ((tag, content),) = value.items()
    match tag:
        case "N":
            return shortest(Decimal(content))
        case "NULL":
            return None
        case "M":
            return {name: plain(inner) for name, inner in content.items()}
        case "L":
            return [plain(inner) for inner in content]
        case "SS" | "BS":
            return sorted(content)
        case "NS":
            return sorted(shortest(Decimal(each)) for each in content)
    return content


def shortest(number: Decimal) -> Decimal:
    """The number without needless zeros; equal numbers have equal forms."""
    return Decimal(0) if not number else Decimal(f"{number:f}").normalize()


def legal(item: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether each value has a type that there is; nothing else is ever wrong with an item here."""
    return all(len(value) == 1 and not TYPES.isdisjoint(value) for value in item.values())


def plain_item(item: Mapping[str, Mapping[str, Any]]) -> Item:
    """A wire item as plain values; what global tables of 2017 add is no part of it."""
    return {
        name: found
        for name, value in item.items()
        if not name.startswith(REPLICATION) and (found := plain(value)) is not None
    }


def of_json(text: str) -> Any:
    """Plain values from the JSON a table holds; nobody changes them."""
    # After each commit the whole table is looked at, and most of it is as it was.
    return _short(text) if len(text) < SHORT else _JSON.decode(text)


def _number(text: str) -> Decimal:
    return shortest(Decimal(text))


_JSON = json.JSONDecoder(parse_int=_number, parse_float=_number)
SHORT = 200


@lru_cache(50_000)
def _short(text: str) -> Any:
    return _JSON.decode(text)


def cell(value: Any, is_json: bool) -> Any:
    """A plain value from one cell of a table."""
    if is_json:
        return of_json(value)
    if isinstance(value, bool):
        return value
    return shortest(Decimal(value)) if isinstance(value, int | Decimal) else value


@dataclass(frozen=True)
class Written:
    """One row on its way to a table; `item` None is a delete, which may leave the row marked."""

    key: Key
    item: Item | None
    at: datetime
    kept: bool = False


def rows_of(rows: pa.Table) -> Iterable[Written]:
    """The rows of an Arrow table of the program."""
    kinds = {
        field.name: str(field.type).startswith("extension<arrow.json") for field in rows.schema
    }
    for row in rows.to_pylist():
        item = {
            name.removeprefix("item."): cell(value, kinds[name])
            for name, value in row.items()
            if name.startswith("item.") and value is not None
        }
        item |= of_json(row["rest"]) if row.get("rest") else {}
        kept = bool(row.get("marked"))
        gone = kept or bool(row.get("deleted"))
        yield Written(item["id"], None if gone else item, row["changed_at"], kept)


@dataclass(frozen=True)
class Fact:
    """One record of a stream, whether it is still there or not."""

    shard: str
    number: int
    at: float
    content: Mapping[str, Any]
    looked_up: bool = False
    """Whether the item is not in the record, and so is read from the table."""
    after: Mapping[str, Any] | None = None
    """The item as the change left it, whatever the record says."""

    @cached_property
    def key(self) -> Key | None:
        """The key of the item; None where the record does not say it well."""
        try:
            ((tag, text),) = self.content["dynamodb"]["Keys"]["id"].items()
        except (KeyError, ValueError, AttributeError, TypeError):
            return None
        return text if tag == "S" else None

    @property
    def numbered(self) -> bool:
        """Whether a cursor can pass it: without its number, it can only be quarantined."""
        return "SequenceNumber" in self.content.get("dynamodb", {})

    @cached_property
    def sound(self) -> bool:
        """Whether it is a record that can be applied."""
        change = self.content.get("dynamodb", {})
        event = self.content.get("eventName")
        if event not in EVENTS or self.key is None or not self.numbered:
            return False
        image = change.get("NewImage")
        if event == "REMOVE" or self.looked_up:
            return True
        return image is not None and image.get("id") == {"S": self.key} and legal(image)

    @property
    def item(self) -> Item | None:
        """The item after the change; None where it is gone, or where nobody can say."""
        if self.content["eventName"] == "REMOVE" or not self.sound:
            return None
        if self.looked_up:
            return None if self.after is None else plain_item(self.after)
        return plain_item(self.content["dynamodb"]["NewImage"])

    @property
    def idle(self) -> bool:
        """Whether only what replication adds has changed."""
        if not self.sound or self.looked_up:
            return False
        change = self.content["dynamodb"]
        images = change.get("OldImage"), change.get("NewImage")
        if not any(REPLICATION in json.dumps(image) for image in images):
            return False
        if not all(isinstance(image, dict) and legal(image) for image in images):
            return False
        return plain_item(images[0]) == plain_item(images[1])


class Ledger:
    """Every record and every shard of a rig, by stream."""

    def __init__(self, rig: ScriptedDynamoDB) -> None:
        self._rig = rig
        self._facts: dict[str, dict[str, list[Fact]]] = {}
        self._taken: dict[str, int] = {}

    def stream(self, arn: str) -> Stream:
        """The stream with this ARN, gone or not."""
        return self._rig.streams[arn]

    def shard(self, arn: str, shard: str) -> Shard:
        """A shard, gone or not."""
        return self.stream(arn).shards[shard]

    def by_shard(self, arn: str) -> dict[str, list[Fact]]:
        """Every record of a stream, in its order."""
        stream = self.stream(arn)
        written, looked_up = stream.written, stream.view in LOOKED_UP
        found = self._facts.setdefault(arn, {})
        for shard, record in written[self._taken.get(arn, 0) :]:
            after = stream.items_after.get(record.number)
            fact = Fact(shard, record.number, record.at, record.content, looked_up, after)
            found.setdefault(shard, []).append(fact)
        self._taken[arn] = len(written)
        return found

    def looked_up(self, arn: str) -> bool:
        """Whether a stream has no images of the items."""
        return self.stream(arn).view in LOOKED_UP

    def since(self, fact: Fact, arn: str) -> list[Item | None]:
        """What an item was after a change, and after each later one."""
        later = (each for facts in self.by_shard(arn).values() for each in facts)
        return [each.item for each in later if each.key == fact.key and each.number >= fact.number]

    def after(self, arn: str, shard: str, number: int) -> list[Fact]:
        """The records of a shard that follow a number."""
        facts = self.by_shard(arn).get(shard, [])
        return facts[bisect_right(facts, number, key=lambda fact: fact.number) :]

    def between(self, arn: str, shard: str, after: int, through: int) -> list[Fact]:
        """The records of a shard that follow a number, up to another."""
        return list(takewhile(lambda f: f.number <= through, self.after(arn, shard, after)))

    def items(self, table: str) -> dict[Key, Item]:
        """What the source holds now, and a table can."""
        items = self._rig.model(table).items()
        return {item["id"]["S"]: plain_item(item) for item in items if legal(item)}
