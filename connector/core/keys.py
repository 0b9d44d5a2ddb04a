"""What the key of a table is, and the text that stands for one key."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec


@dataclass(frozen=True)
class KeyAttribute:
    """One part of a table's primary key; `tag` is S, N or B."""

    name: str
    tag: str


KeySchema = tuple[KeyAttribute, ...]


def key_text(key: Sequence[str]) -> str:
    """A canonical key as one JSON text: unambiguous, and readable in a table."""
    return msgspec.json.encode(key).decode()
