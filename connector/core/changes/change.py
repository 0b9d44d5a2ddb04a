"""What a source says of its changes. Their contents stay as they were on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from msgspec import Raw


class Change(Protocol):
    """One change of one item, as any source may tell it.

    Each source has a type of its own that offers this, so that what few changes need is made out
    only when it is asked for.
    """

    @property
    def key(self) -> Raw:
        """The item's key attributes."""
        ...

    @property
    def image(self) -> Raw | None:
        """The whole item after the change; None if it was deleted."""
        ...

    @property
    def version(self) -> int:
        """Of two changes of one key, the newer has the higher one."""
        ...

    @property
    def at(self) -> float:
        """When it was made, in seconds since 1970; infinite if that is not known."""
        ...

    @property
    def expired(self) -> bool:
        """Whether the item was deleted by its time to live."""
        ...

    @property
    def raw(self) -> str:
        """What is known of it, as it was on the wire."""
        ...

    @property
    def token(self) -> str:
        """Its place in its partition, in the source's own spelling."""
        ...

    @property
    def unchanged(self) -> bool:
        """Whether only what the source itself keeps in an item has changed."""
        ...

    @property
    def flaw(self) -> str:
        """Why it does not say what became of its key, or no text."""
        ...


@dataclass(frozen=True)
class Misplaced:
    """A change without a place in its partition: nothing says what it comes before."""

    raw: str
    reason: str
    key: bytes


@dataclass(frozen=True)
class ChangePage:
    """The changes of one partition that come after a token, in their order."""

    changes: Sequence[Change]
    token: str | None
    """Where the partition stands after them."""
    asked_at: datetime
    misplaced: Sequence[Misplaced] = ()
    repeated: int = 0
    """How many changes were in it besides, which had come before."""
    oldest_at: float | None = None
    """When the oldest in it was made, in seconds since 1970."""
    newest_at: float | None = None
    """The same of the newest one whose time is known."""
    ordinary: bool = False
    """Whether none of them can be `unchanged`."""
    goes_on: bool = True
    """Whether it says how to go on after it. That it does not proves nothing."""
    ended: bool = False
    """Whether the partition is proven to have ended."""

    @property
    def count(self) -> int:
        """How many changes were in it."""
        return len(self.changes) + len(self.misplaced) + self.repeated
