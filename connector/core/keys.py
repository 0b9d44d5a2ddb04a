"""The key schema of a table, and the canonical text of a key."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from connector.core.schema import Kind, Type
from connector.core.texts import canonical_decimal


@dataclass(frozen=True)
class KeyAttribute:
    """One part of a table's primary key; `tag` is S, N or B."""

    name: str
    tag: str


KeySchema = tuple[KeyAttribute, ...]


def stored_part(type_: Type, value: Any) -> str:
    """The canonical text of one key part, from an Arrow column's value."""
    return _STORED_PART[type_.kind](value)


_STORED_PART: dict[Kind, Callable[[Any], str]] = {
    Kind.STRING: str,
    Kind.INTEGER: str,
    Kind.NUMBER: str,
    Kind.DECIMAL: canonical_decimal,
    Kind.BINARY: lambda value: b64encode(value).decode(),
}


def key_text(key: Sequence[str]) -> str:
    """A canonical key as one JSON text: unambiguous, and readable in a table."""
    return msgspec.json.encode(key).decode()
