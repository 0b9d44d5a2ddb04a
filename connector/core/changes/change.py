"""Changes as a source reports them. Their contents stay as they were on the wire."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from msgspec import Raw


class Change(Protocol):
    """One change of one item, from any source.

    Each source has a type of its own with these properties, so that rarely needed ones are
    computed only on request.
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
    def before(self) -> Raw | None:
        """The whole item before the change; None if there was none, or it is not reported."""
        ...

    @property
    def created(self) -> bool:
        """Whether there was no item before the change."""
        ...

    @property
    def version(self) -> int:
        """The newer of two changes of one key has the higher version."""
        ...

    @property
    def at(self) -> float:
        """When the change was made, in seconds since 1970; infinity if unknown."""
        ...

    @property
    def expired(self) -> bool:
        """Whether the item was deleted by its time to live."""
        ...

    @property
    def raw(self) -> str:
        """The change as it was on the wire."""
        ...

    @property
    def token(self) -> str:
        """Its position in its partition, in the source's own format."""
        ...

    @property
    def unchanged(self) -> bool:
        """Whether only attributes that the source itself maintains have changed."""
        ...

    @property
    def flaw(self) -> str:
        """Why the change cannot be applied, or an empty string."""
        ...


@dataclass(frozen=True)
class Touched:
    """A key whose item must be looked up, as a change; its image is not known, or there is none."""

    key: Raw
    at: float
    image: Raw | None = field(default_factory=lambda: Raw(b"null"))
    before: Raw | None = None
    created: bool = False
    version: int = 0
    """Any change that a source reports is newer."""
    expired: bool = False
    raw: str = ""
    token: str = ""
    unchanged: bool = False
    flaw: str = ""


@dataclass(frozen=True)
class Misplaced:
    """A change without a position in its partition, so that its order is unknown."""

    raw: str
    reason: str
    key: bytes


@dataclass(frozen=True)
class Unnamed:
    """Rows that the changes after a page may leave out, although they changed: they are looked up.

    A source that only has the last change of each item may have none for an item that was created
    and deleted in its period.
    """

    since: datetime
    """Rows whose last known change is later."""
    named: Callable[[Sequence[str]], Sequence[bool]]
    """Whether the changes name each of these keys, as `core.keys.key_text` spells them."""


@dataclass(frozen=True)
class ChangePage:
    """The changes of one partition after a token, in order."""

    changes: Sequence[Change]
    token: str | None
    """The position in the partition after them."""
    asked_at: datetime
    misplaced: Sequence[Misplaced] = ()
    repeated: int = 0
    """The number of further changes that an earlier page had already."""
    oldest_at: float | None = None
    """When the oldest change was made, in seconds since 1970."""
    newest_at: float | None = None
    """When the newest change with a known time was made, in seconds since 1970."""
    ordinary: bool = False
    """Whether none of the changes can be `unchanged`."""
    behind: bool = False
    """Whether the source says that there is more to read, even if there are no changes here."""
    goes_on: bool = True
    """Whether the page says how to continue after it. If not, that proves nothing."""
    ended: bool = False
    """Whether the partition is proven to have ended."""
    through: datetime | None = None
    """Up to when everything is read after this page, if that is not the time of a change."""
    drained: bool = False
    """Whether nothing more is there for now, which needs no silence to prove it."""
    waiting: bool = False
    """Whether more will come, although nothing is there yet: no silence counts."""
    checkpoint: bool = False
    """Whether the page must be committed before the next one is read."""
    unnamed: Unnamed | None = None
    """What is to be looked up before the pages after this one; it has no changes then."""

    @property
    def more_to_come(self) -> bool:
        """Whether it is no silence if the page is empty."""
        return self.behind or self.waiting or self.drained or self.ended

    @property
    def count(self) -> int:
        """The number of changes in the page."""
        return len(self.changes) + len(self.misplaced) + self.repeated
