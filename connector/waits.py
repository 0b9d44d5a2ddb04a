"""Waits of a run: reported once they are long, and again every minute while they last."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event, Lock, Thread

from connector.events import Listener, Waited, quiet

log = logging.getLogger("connector.waits")

LONG_SECONDS = 5.0
"""Shorter waits are not reported."""
AGAIN_SECONDS = 60.0

Found = tuple[str, float | None]
"""What the run waits for, and for how many seconds at most, if known."""


def _here() -> datetime:
    return datetime.now().astimezone()


@dataclass
class Waits:
    """The waits of one table's run. Safe to use from several threads.

    If several threads wait for the same thing, it is still reported only once a minute.
    """

    table: str = ""
    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = _here
    listener: Listener = quiet
    """Receives each report, in addition to the log."""
    _reported: dict[str, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def begin(self, level: int = logging.WARNING) -> "Wait":
        """A wait that begins now."""
        return Wait(self, level, self.monotonic())

    def report(self, waited: Waited) -> None:
        """Logs a long wait, unless it was logged within the last minute."""
        now = self.monotonic()
        with self._lock:
            reported = self._reported.get(waited.what)
            if reported is not None and now - reported < AGAIN_SECONDS:
                return
            self._reported[waited.what] = now
        self.announce(waited)

    def announce(self, waited: Waited) -> None:
        """Logs a wait and passes it to the listener."""
        about = f"{self.table}: " if self.table else ""
        log.log(waited.level, "%s%s", about, waited.text)
        self.listener(waited)

    @contextmanager
    def watched(
        self, look: Callable[[], Found | None], level: int = logging.WARNING
    ) -> Iterator[None]:
        """Reports a block that cannot do so itself because it is waiting for an answer.

        Once the block has taken long, `look` is called now and then, in another thread. It returns
        what the block waits for, or None.
        """
        wait, over = self.begin(level), Event()

        def watch() -> None:
            while not over.wait(LONG_SECONDS):
                found = look()
                if found and not over.is_set():
                    wait.goes_on(*found)

        thread = Thread(target=watch, name="waits", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()


@dataclass(frozen=True)
class Wait:
    """One wait, with its start on the clock of `waits`."""

    waits: Waits
    level: int
    since: float

    def goes_on(self, what: str, left: float | None = None, ahead: float = 0.0) -> None:
        """Reports the wait if it is long.

        `left` is the number of seconds until it ends at the latest; `ahead` is the number of
        seconds until the next call.
        """
        if self.waits.monotonic() + ahead - self.since < LONG_SECONDS:
            return
        until = None
        if left is not None:
            until = self.waits.now() + timedelta(seconds=max(left, 0.0))
        self.waits.report(Waited(what, until, self.level))
