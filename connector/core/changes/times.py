"""The order of changes by the times at which they were made, for sources without a better one.

Times are whole microseconds since 1970. Some sources cut them to milliseconds or to seconds, so a
whole millisecond or second may stand for any moment within it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

MILLISECOND = 1000
SECOND = 1_000_000
"""In microseconds, as all times of changes."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(at: datetime) -> int:
    """A moment in microseconds since 1970."""
    return (at - _EPOCH) // timedelta(microseconds=1)


class Order(Enum):
    """How one change stands to another of the same key."""

    OLDER = "older"
    TIED = "tied"
    NEWER = "newer"


def tied_with(at: int) -> tuple[int, int, int]:
    """The times that cannot be told from `at`: two before it, and the last one from it on.

    The two are the beginnings of its second and of its millisecond. Of all others, only those from
    `at` to the last one are tied.
    """
    second, millisecond = at - at % SECOND, at - at % MILLISECOND
    if at == second:
        return second, millisecond, at + SECOND - 1
    return second, millisecond, at + MILLISECOND - 1 if at == millisecond else at


def order(at: int, than: int) -> Order:
    """How a change made at one time stands to one made at another."""
    second, millisecond, last = tied_with(at)
    if than > last:
        return Order.OLDER
    return Order.TIED if than >= at or than in (second, millisecond) else Order.NEWER


class Tied(Exception):
    """Times do not say which of two changes of a key is newer. Nothing was written."""

    def __init__(self, keys: frozenset[str]) -> None:
        super().__init__("some changes are tied")
        self.keys = keys
        """As `core.keys.key_text` spells them."""


@dataclass(frozen=True)
class Judgement:
    """The places of changes that do not simply win."""

    lost: frozenset[int]
    tied: frozenset[int]


def judged(conflicts: Iterable[tuple[int, bool]], settled: Mapping[int, bool]) -> Judgement:
    """Which of some changes lose, and which are tied, by what is stored of their keys.

    A conflict is a change's place, and whether what is stored is certainly newer; otherwise both
    are tied. A change that is settled, because its item was read, wins a tie.
    """
    lost: set[int] = set()
    tied: set[int] = set()
    for place, newer in conflicts:
        if newer:
            lost.add(place)
        elif not settled[place]:
            tied.add(place)
    return Judgement(frozenset(lost), frozenset(tied - lost))
