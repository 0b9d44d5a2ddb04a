"""The end of a run and the time of day, as values: what a run asks instead of the machine."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event

from connector.errors import Interrupted


@dataclass(frozen=True)
class Stop:
    """How every part of a run is asked to end after what it is doing, and how it waits."""

    requested: Callable[[], bool]
    """Whether it was asked to end."""
    wait: Callable[[float], bool]
    """Waits for some seconds, or until it is asked to end; true if it was."""

    @classmethod
    def of(cls, event: Event) -> "Stop":
        """A run is asked to end by setting the event."""
        return cls(event.is_set, event.wait)

    @classmethod
    def never(cls) -> "Stop":
        """Nobody asks."""
        return cls.of(Event())

    def sleep(self, seconds: float) -> None:
        """Waits. Raises Interrupted if the run was asked to end."""
        if self.wait(seconds):
            raise Interrupted(
                "The run was asked to end.", "The same command goes on where it stopped."
            )


@dataclass(frozen=True)
class Clock:
    """What time it is on this machine. The source has a clock of its own."""

    now: Callable[[], datetime]
    """With its zone."""
    monotonic: Callable[[], float]
    """Seconds, since a moment that means nothing."""


MACHINE = Clock(lambda: datetime.now(UTC), time.monotonic)
