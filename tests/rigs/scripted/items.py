"""Items as DynamoDB sees them: keys, positions, sizes, canonical numbers."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from .errors import invalid

Value = Mapping[str, Any]
Item = Mapping[str, Value]

HASHES = 2**64
EXACT = Context(prec=200)
# A position orders a table as a Scan walks it: hash of the partition key, the key, the sort key.
Position = tuple[int, bytes, Any]


@dataclass(frozen=True)
class Key:
    """One key attribute: its name and its type, S, N or B."""

    name: str
    type: str = "S"


@dataclass(frozen=True)
class KeySchema:
    """The primary key of a table."""

    partition: Key
    sort: Key | None = None

    @property
    def keys(self) -> tuple[Key, ...]:
        """The key attributes, partition key first."""
        return (self.partition,) if self.sort is None else (self.partition, self.sort)

    def key_of(self, item: Item) -> dict[str, Value]:
        """The key attributes of an item."""
        for key in self.keys:
            if key.name not in item:
                raise invalid(
                    "One or more parameter values were invalid: "
                    f"Missing the key {key.name} in the item"
                )
        return {key.name: item[key.name] for key in self.keys}

    def position(self, item: Item) -> Position:
        """Where a Scan meets this item."""
        key = self.key_of(item)
        partition = sortable(self.partition, key[self.partition.name])
        raw = partition if isinstance(partition, bytes) else plain(partition).encode()
        sort = b"" if self.sort is None else sortable(self.sort, key[self.sort.name])
        return hash_of(self.partition.type, raw), raw, sort

    def describe(self) -> list[dict[str, str]]:
        """The KeySchema of DescribeTable."""
        kinds = ("HASH", "RANGE")
        return [
            {"AttributeName": key.name, "KeyType": kind}
            for key, kind in zip(self.keys, kinds, strict=False)
        ]

    def attributes(self) -> list[dict[str, str]]:
        """The AttributeDefinitions of DescribeTable."""
        return [{"AttributeName": key.name, "AttributeType": key.type} for key in self.keys]


def hash_of(kind: str, raw: bytes) -> int:
    """A stable hash of a partition key, the same in every process."""
    return int.from_bytes(hashlib.blake2b(kind.encode() + raw, digest_size=8).digest())


def sortable(key: Key, value: Value) -> bytes | Decimal:
    """A key value in the form that sorts as DynamoDB sorts it."""
    if set(value) != {key.type}:
        raise invalid(
            f"One or more parameter values were invalid: Type mismatch for key {key.name} "
            f"expected: {key.type} actual: {', '.join(value)}"
        )
    text = value[key.type]
    if key.type == "N":
        return number(text)
    return base64.b64decode(text) if key.type == "B" else text.encode("utf-8", "surrogatepass")


def number(text: str) -> Decimal:
    """The number in a wire string."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise not_a_number(text) from None
    if not found.is_finite():
        raise not_a_number(text)
    return found


def not_a_number(text: str) -> Exception:
    """The error for text that is no DynamoDB number."""
    return invalid(
        "The parameter cannot be converted to a numeric value" + (f": {text}" if text else "")
    )


def plain(value: Decimal) -> str:
    """A number as DynamoDB writes it back: plain notation, no needless zeros, no minus zero."""
    return format(EXACT.normalize(value), "f") if value else "0"


def canonical(value: Value) -> dict[str, Any]:
    """The value as DynamoDB stores it: canonical numbers, sets in a fixed order."""
    ((kind, inner),) = value.items()
    match kind:
        case "N":
            return {"N": plain(significant(inner))}
        case "NS":
            return {"NS": [plain(n) for n in sorted(significant(text) for text in inner)]}
        case "SS" | "BS":
            return {kind: sorted(inner)}
        case "M":
            return {"M": canonical_item(inner)}
        case "L":
            return {"L": [canonical(member) for member in inner]}
    return {kind: inner}


def canonical_item(item: Item) -> dict[str, Value]:
    """An item, or a map within one, as DynamoDB stores it."""
    if "" in item:
        raise invalid("Empty attribute name")
    return {name: canonical(value) for name, value in item.items()}


def significant(text: str) -> Decimal:
    """A number that DynamoDB can hold: at most 38 digits, and a bounded magnitude."""
    found = number(text)
    if not found:
        return Decimal(0)
    digits = len(EXACT.normalize(found).as_tuple().digits)
    if digits > 38:
        raise invalid("Attempting to store more than 38 significant digits in a Number")
    if found.adjusted() > 125:
        raise invalid(
            "Number overflow. Attempting to store a number with magnitude larger than "
            "supported range"
        )
    if found.adjusted() < -130:
        raise invalid(
            "Number underflow. Attempting to store a number with magnitude smaller than "
            "supported range"
        )
    return found


def size_of(item: Item) -> int:
    """The size of an item as DynamoDB counts it, which is not the size of its JSON."""
    return sum(len(text_bytes(name)) + value_size(value) for name, value in item.items())


def measured(*items: Item) -> int:
    """The size of some items; of one that is malformed on purpose, the length of its JSON."""
    try:
        return sum(size_of(item) for item in items)
    except (AttributeError, TypeError):
        return sum(len(rendered(item)) for item in items)


def value_size(value: Value) -> int:
    """The size of one attribute value."""
    total = 0
    for kind, inner in value.items():
        match kind:
            case "S":
                total += len(text_bytes(inner))
            case "N":
                total += len(str(inner)) // 2 + 2
            case "B":
                total += len(inner) * 3 // 4
            case "SS" | "NS" | "BS":
                total += sum(value_size({kind[0]: member}) for member in inner)
            case "M":
                total += 3 + sum(
                    1 + len(text_bytes(name)) + value_size(member) for name, member in inner.items()
                )
            case "L":
                total += 3 + sum(1 + value_size(member) for member in inner)
            case _:
                total += 1
    return total


def text_bytes(text: str) -> bytes:
    """Text in UTF-8; a lone surrogate passes, since DynamoDB Local stores one too."""
    return text.encode("utf-8", "surrogatepass")


def rendered(content: Any) -> bytes:
    """JSON as DynamoDB sends it: compact, in UTF-8; escaped only where UTF-8 cannot say it."""
    try:
        return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(content, separators=(",", ":")).encode()
