"""Legal items that a destination cannot hold; they are quarantined, and their older rows go."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connector.core.keys import KeySchema
from connector.core.rows import ITEM
from connector.core.texts import Malformed
from connector.items import values

_NUL = b"\\u0000"


class Unstorable(Malformed):
    """An item that DynamoDB holds and the destination cannot."""


@dataclass(frozen=True)
class Limits:
    """What a destination cannot hold; by itself this allows everything."""

    nul: bool = True
    """Whether a text may have a NUL."""
    key_bytes: int | None = None
    """How long the parts of a key may be together."""

    def doubt(self, raw: bytes) -> bool:
        """Whether an item, or many in one text, must be looked at: quick, and never wrongly no."""
        return not self.nul and _NUL in raw

    def check_keys(self, keys: KeySchema, rows: pa.Table) -> None:
        """Raises Unstorable where one of the rows has a key that is too long."""
        parts = [rows.column(ITEM + key.name) for key in keys if key.tag != "N"]
        if self.key_bytes is None or not parts or not len(rows):
            return
        lengths = reduce(pc.add, map(pc.binary_length, parts))
        if pc.max(lengths).as_py() > self.key_bytes:
            raise self._long_key()

    def check(self, keys: KeySchema, item: Mapping[str, Any]) -> None:
        """Raises Unstorable where the destination cannot hold the item."""
        if not self.nul and _has_nul(item):
            raise Unstorable(
                "a text or a name with a NUL, which the destination cannot hold: write it at the "
                "source without"
            )
        if self.key_bytes is None:
            return
        if sum(_length(key.tag, item[key.name][key.tag]) for key in keys) > self.key_bytes:
            raise self._long_key()

    def _long_key(self) -> Unstorable:
        return Unstorable(
            f"a key of more than {self.key_bytes} bytes, which the destination cannot index: "
            "shorten it at the source, or use a destination without an index"
        )


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(map(_has_nul, value)) or any(map(_has_nul, value.values()))
    return isinstance(value, list) and any(map(_has_nul, value))


def _length(tag: str, content: str) -> int:
    if tag == "N":
        return 0
    return len(values.binary(content) if tag == "B" else content.encode())


EVERYTHING = Limits()

# An entry of a btree has at most 2,704 bytes; the header of the entry, and of each of two texts
# with the padding before it, need no more than 29 of them.
POSTGRES = Limits(nul=False, key_bytes=2675)

BY_DESTINATION = {"duckdb": EVERYTHING, "postgresql": POSTGRES}
"""By the kind of the destination's url."""
