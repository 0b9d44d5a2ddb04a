"""Events of a run, for listeners: counts and names, never a value of an item."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class ScanBegun:
    """A scan begins. `items` is approximate: the source's count is some hours old."""

    items: int
    segments: int
    origin: str | None = None
    """What is read, if not the table itself."""


@dataclass(frozen=True)
class Scanned:
    """A segment's items and bytes since its previous event; `done` if it has ended."""

    segment: int
    items: int
    size: int
    done: bool


@dataclass(frozen=True)
class Tailed:
    """A round was read and, if it moved a cursor, committed: record counts, and lag in seconds."""

    counts: Mapping[str, int]
    lag: float | None


@dataclass(frozen=True)
class Waited:
    """A long wait: for what, and until when at the latest if known."""

    what: str
    until: datetime | None = None
    level: int = logging.WARNING

    @property
    def text(self) -> str:
        """The wait in words."""
        if self.until is None:
            return f"waiting for {self.what}"
        return f"waiting for {self.what}, until {self.until:%H:%M:%S} at the latest"


@dataclass(frozen=True)
class CopyPublished:
    """A copy of all tables was published for readers: its size in bytes, and what it took."""

    size: int
    seconds: float
    shared: bool
    """Whether it shares the file's blocks on the disk."""


Event = ScanBegun | Scanned | Tailed | Waited | CopyPublished

Listener = Callable[[Event], None]
"""Called from several threads; must return at once."""


def quiet(event: Event) -> None:
    """A listener that does nothing."""
