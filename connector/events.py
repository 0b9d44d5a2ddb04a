"""What happens in a run, for whoever listens: counts and names, never a value of an item."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class ScanBegun:
    """A scan begins, of about as many items: the source's count is some hours old."""

    items: int
    segments: int


@dataclass(frozen=True)
class Scanned:
    """A segment's items and bytes since the event before; `done` if it has ended."""

    segment: int
    items: int
    size: int
    done: bool


@dataclass(frozen=True)
class Tailed:
    """A round was read and, if it moved anything, committed: its records, and seconds behind."""

    counts: Mapping[str, int]
    lag: float | None


@dataclass(frozen=True)
class Waited:
    """A long wait: for what, and until when at the latest if that is known."""

    what: str
    until: datetime | None = None
    level: int = logging.WARNING

    @property
    def text(self) -> str:
        """In words."""
        if self.until is None:
            return f"waiting for {self.what}"
        return f"waiting for {self.what}, until {self.until:%H:%M:%S} at the latest"


Event = ScanBegun | Scanned | Tailed | Waited

Listener = Callable[[Event], None]
"""Is called from several threads, and must return at once."""


def quiet(event: Event) -> None:
    """A listener that does nothing."""
