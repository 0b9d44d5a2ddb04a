"""What the attributes of a table were seen to be, and what a file may declare of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connector.core.contracts.contract import Format, word_of
from connector.core.schema import DECIMAL_DIGITS, TIMESTAMP, Kind, Type, fixed_type
from connector.core.words import counted


@dataclass(frozen=True)
class Seen:
    """One attribute."""

    attribute: str
    type: Type
    """The narrowest type that holds every value."""
    filled: int
    """How many rows or items have a value."""
    part: str = ""
    """Which part of the key it is."""
    looks: str = ""
    """What its values look like besides, as an entry could declare it."""
    open: bool = True
    """Whether a declared type would be that of its column, so that nothing is read anew.

    In each target, that is: one that has no such column would get it.
    """

    @property
    def declared(self) -> Type | None:
        """What can be declared of it so that nothing changes; None if nothing can."""
        return declarable(self.type) if self.open and not self.part else None


def left_out(attributes: Sequence[Seen], targets: int) -> list[str]:
    """A note, if an entry has no type because none would be that of its column."""
    if all(seen.open or seen.part for seen in attributes):
        return []
    column = "its column in each target" if targets > 1 else "its column"
    return [f"An entry has no type if none would be that of {column}."]


def declarable(type_: Type) -> Type | None:
    """The type that can be declared for values of a type; None if there is none."""
    if type_.kind is Kind.DECIMAL:
        # As many digits as there can be: the next item may have more than these.
        return fixed_type(DECIMAL_DIGITS - type_.scale, type_.scale)
    return None if type_.kind in (Kind.NULL, Kind.NUMBER) else type_


@dataclass(frozen=True)
class Sight:
    """What was seen of a table."""

    where: str
    """Where it was looked at, in words."""
    total: int
    """How many rows or items were seen."""
    thing: str
    """What is counted: a row, or an item."""
    attributes: Sequence[Seen] = ()
    notes: Sequence[str] = field(default=())

    def comment(self, seen: Seen) -> str:
        """What was seen of one attribute, in words without any value."""
        word = _shown(seen.type)
        if seen.part:
            return f"{seen.part}, {word}"
        every = seen.filled == self.total
        things = counted(self.total, self.thing)
        where = f"in all of {things}" if every else f"in {seen.filled:,} of {things}"
        said = f"{word}, {where}" if self.total else word
        return said + (f"; looks like {seen.looks}" if seen.looks else "")


def _shown(type_: Type) -> str:
    if type_.kind is Kind.NUMBER:
        return "numbers of more digits than a decimal has"
    return "only null" if type_.kind is Kind.NULL else word_of(type_)


def entry(seen: Seen, present: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of an attribute: as it is `present`, with the type that was seen.

    What hides a value keeps its type, since nothing else is known of that.
    """
    made = dict(present)
    hidden = made.get("hash") or made.get("exclude") or made.get("mask") is not None
    if hidden or seen.declared is None:
        return made
    format_ = made.pop("from", None)
    made = {"type": str(word_of(seen.declared)), **{k: v for k, v in made.items() if k != "type"}}
    if seen.declared == TIMESTAMP and format_ not in (None, Format.ISO8601):
        made = {"type": made.pop("type"), "from": format_, **made}
    return made
