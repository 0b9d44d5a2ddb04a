"""Attribute names → column names: a bijection that never changes once made."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType

CHANGED_AT = "_changed_at"
COMMIT = "_commit"
DELETED = "_deleted"
REST = "_rest"
SERVICE = (CHANGED_AT, COMMIT, DELETED, REST)
OP = "_op"
VALID_FROM = "_valid_from"
VALID_TO = "_valid_to"
VERSION = "_version"
ENDED_BY = "_ended_by"
PLACE = "_place"
OF_HISTORY = (OP, VALID_FROM, VALID_TO, VERSION, ENDED_BY, PLACE)
"""Columns that a history has besides those of its table."""
OF_CHANGES = (OP, "_expired", "_sequence", "_partition", "_before", "_after")
"""Columns that a log has besides those of its table."""

CHANGES = "__changes"
HISTORY = "__history"
ENDED = "__ended"
"""What stands behind a table's name in those of the tables beside it."""

_DIGITS = 10


@dataclass(frozen=True)
class Rules:
    """What a destination allows in a column name.

    `fold` maps names that the destination considers equal to the same text; `max_bytes` is the
    longest name in UTF-8; `reserved` are folded names that the destination does not allow.
    """

    fold: Callable[[str], str]
    max_bytes: int
    reserved: frozenset[str] = frozenset()
    refused: str = ""
    """Characters no name may hold."""


def assign(
    attributes: Iterable[str],
    taken: Mapping[str, str],
    rules: Rules,
    service: Iterable[str] = SERVICE,
    wanted: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Column names for new attributes, given the names already `taken` (attribute → column).

    `service` are the names of columns that the table has, or may get, besides its attributes.
    `wanted` are names that attributes are to have instead of their own; no other one gets them.

    A column gets its attribute's own name if the destination allows it and it is free; otherwise a
    readable name with a hash of the attribute's name, the same on every machine.
    """
    used = {rules.fold(name) for name in (*taken.values(), *service)}
    assigned: dict[str, str] = {}
    promised = {rules.fold(name): attribute for attribute, name in wanted.items()}
    for attribute in sorted(set(attributes) - set(taken)):
        name = wanted.get(attribute, attribute)
        name = name if holds(name, rules) else _hashed(attribute, rules, _DIGITS)
        digits = _DIGITS
        while promised.get(rules.fold(name), attribute) != attribute or rules.fold(name) in used:
            name = _hashed(attribute, rules, digits)
            digits += 1
        used.add(rules.fold(name))
        assigned[attribute] = name
    return assigned


def holds(name: str, rules: Rules) -> bool:
    """Whether a column can have a name."""
    return (
        0 < len(name.encode()) <= rules.max_bytes
        and not any(character in rules.refused for character in name)
        and rules.fold(name) not in rules.reserved
    )


def _hashed(attribute: str, rules: Rules, digits: int) -> str:
    readable = "".join("_" if c in rules.refused or not c.isprintable() else c for c in attribute)
    room = min(rules.max_bytes, 255) - digits - 1
    stem = readable.encode()[:room].decode(errors="ignore")
    return f"{stem}_{sha256(attribute.encode()).hexdigest()[:digits]}"
