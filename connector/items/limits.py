"""Valid items that a destination cannot hold: they are quarantined and their older rows deleted."""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connector.core.keys import KeySchema
from connector.core.rows import ITEM
from connector.core.spec import Limits
from connector.core.texts import Malformed
from connector.items import values

_NUL = b"\\u0000"


class Unstorable(Malformed):
    """An item that DynamoDB can hold, but the destination cannot."""


def doubtful(limits: Limits, raw: bytes) -> bool:
    """Whether an item, or many in one text, must be checked: quick, and without false negatives."""
    return not limits.nul and _NUL in raw


def check_keys(limits: Limits, keys: KeySchema, rows: pa.Table) -> None:
    """Raises Unstorable if one of the rows has a key that is too long."""
    parts = [rows.column(ITEM + key.name) for key in keys if key.tag != "N"]
    if limits.key_bytes is None or not parts or not len(rows):
        return
    lengths = reduce(pc.add, map(pc.binary_length, parts))
    if pc.max(lengths).as_py() > limits.key_bytes:
        raise _long_key(limits.key_bytes)


def check(limits: Limits, keys: KeySchema, item: Mapping[str, Any]) -> None:
    """Raises Unstorable if the destination cannot hold the item."""
    if not limits.nul and _has_nul(item):
        raise Unstorable(
            "a text or a name with a NUL, which the destination cannot hold: remove it at the "
            "source"
        )
    if limits.key_bytes is None:
        return
    if sum(_length(key.tag, item[key.name][key.tag]) for key in keys) > limits.key_bytes:
        raise _long_key(limits.key_bytes)


def _long_key(key_bytes: int) -> Unstorable:
    return Unstorable(
        f"a key of more than {key_bytes} bytes, which the destination cannot index: "
        "shorten it at the source, or use a destination without an index"
    )


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(map(_has_nul, value)) or any(map(_has_nul, value.values()))
    return isinstance(value, list) and any(map(_has_nul, value))


def storable_keys(limits: Limits, keys: KeySchema, found: Sequence[tuple[str, ...]]) -> list[bool]:
    """Whether the destination can hold each of some canonical keys."""
    if limits.nul and limits.key_bytes is None:
        return [True] * len(found)
    tags = [key.tag for key in keys]
    longest = limits.key_bytes
    return [
        (limits.nul or not any("\0" in part for part in key))
        and (longest is None or sum(map(_length, tags, key)) <= longest)
        for key in found
    ]


def _length(tag: str, content: str) -> int:
    if tag == "N":
        return 0
    return len(values.binary(content) if tag == "B" else content.encode())
