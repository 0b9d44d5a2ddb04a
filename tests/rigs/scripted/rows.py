"""A table's items in the order a Scan walks them, now and a while ago."""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .items import Item, Position, measured, rendered


@dataclass(frozen=True)
class Stored:
    """An item, rendered and measured once, so that a page of items is only a join."""

    item: Item
    body: bytes
    size: int

    @classmethod
    def of(cls, item: Item) -> "Stored":
        """Renders and measures an item."""
        return cls(item, rendered(item), measured(item))


class Rows:
    """Items by their position, kept in order."""

    def __init__(self, stored: dict[Position, Stored] | None = None) -> None:
        self._stored = stored or {}
        self._order = sorted(self._stored)
        self._before: deque[tuple[float, Position, Stored | None]] = deque()

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Stored]:
        return self.slice(0, len(self._order))

    def get(self, position: Position) -> Stored | None:
        """The item at a position, if there is one."""
        return self._stored.get(position)

    def load(self, items: Iterable[tuple[Position, Item]]) -> None:
        """Adds many items that have no past."""
        self._stored.update((position, Stored.of(item)) for position, item in items)
        self._order = sorted(self._stored)

    def replace(self, position: Position, new: Item | None, at: float) -> None:
        """Puts an item in the place of another, of none, or takes it away."""
        before = self._stored.get(position)
        self._before.append((at, position, before))
        if new is None:
            del self._stored[position]
            del self._order[bisect_left(self._order, position)]
            return
        self._stored[position] = Stored.of(new)
        if before is None:
            insort(self._order, position)

    def as_of(self, at: float) -> "Rows":
        """The rows as they were at a time: what a read from a replica that far behind sees."""
        stored = dict(self._stored)
        for written, position, before in reversed(self._before):
            if written <= at:
                break
            if before is None:
                stored.pop(position, None)
            else:
                stored[position] = before
        return Rows(stored)

    def written(self, begin: float, end: float) -> dict[Position, float]:
        """The positions that were written from one time on and before another, and when last."""
        return {position: at for at, position, _ in self._before if begin <= at < end}

    def between(self, low: int, high: int, after: Position | None) -> tuple[int, int]:
        """Where a range of hashes begins and ends in scan order, cut at a cursor."""
        first = bisect_left(self._order, (low,))
        if after is not None:
            first = max(first, bisect_right(self._order, after))
        return first, bisect_left(self._order, (high,))

    def slice(self, first: int, last: int) -> Iterator[Stored]:
        """The rendered items at these places in scan order."""
        return (self._stored[self._order[place]] for place in range(first, last))
