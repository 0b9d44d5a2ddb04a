"""The time the rig lives in."""

import time
from datetime import UTC, datetime

MORNING = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


class VirtualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: float = MORNING) -> None:
        self._now = now

    def now(self) -> float:
        """The time in seconds since 1970."""
        return self._now

    def datetime(self) -> datetime:
        """The time as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    def advance(self, seconds: float = 0, *, minutes: float = 0, hours: float = 0) -> None:
        """Moves the clock on; a negative step moves it back."""
        self._now += seconds + 60 * minutes + 3600 * hours

    def set(self, now: float) -> None:
        """Sets the clock to this time."""
        self._now = now


class RunningClock(VirtualClock):
    """A clock that shows the real time, plus whatever it was advanced by."""

    def __init__(self) -> None:
        super().__init__(0.0)

    def now(self) -> float:
        """The time in seconds since 1970."""
        return time.time() + self._now
