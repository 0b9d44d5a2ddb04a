"""Stopping and time as values, so that a run does not ask the machine for them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event

from connector.errors import Interrupted


@dataclass(frozen=True)
class Stop:
    """How the parts of a run are asked to end after their current work, and how they wait."""

    requested: Callable[[], bool]
    """Whether the run was asked to end."""
    wait: Callable[[float], bool]
    """Waits for some seconds, or until the run is asked to end; true if it was."""

    @classmethod
    def of(cls, event: Event) -> "Stop":
        """Setting the event asks the run to end."""
        return cls(event.is_set, event.wait)

    @classmethod
    def never(cls) -> "Stop":
        """A run that is never asked to end."""
        return cls.of(Event())

    def check(self, table: str) -> None:
        """Raises Interrupted if the run of a table was asked to end."""
        if self.requested():
            raise Interrupted(
                f"The run of {table} was asked to end.",
                "What was read is committed; the same command resumes from there.",
            )

    def sleep(self, seconds: float) -> None:
        """Waits. Raises Interrupted if the run was asked to end."""
        if self.wait(seconds):
            raise Interrupted(
                "The run was asked to end.", "The same command resumes where it stopped."
            )


@dataclass(frozen=True)
class Clock:
    """The time on this machine. The source has a clock of its own."""

    now: Callable[[], datetime]
    """With a time zone."""
    monotonic: Callable[[], float]
    """Seconds since an arbitrary moment."""


MACHINE = Clock(lambda: datetime.now(UTC), time.monotonic)
