"""What a run waits for: reported once the wait is long, and again every minute while it lasts."""

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
"""A shorter wait is nobody's concern."""
AGAIN_SECONDS = 60.0

Found = tuple[str, float | None]
"""What is waited for, and for how many seconds at most, if that is known."""


def _here() -> datetime:
    return datetime.now().astimezone()


@dataclass
class Waits:
    """The waits of one table's run. Safe to use from several threads.

    Several of them may wait for the same thing, which is reported once a minute all the same.
    """

    table: str = ""
    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = _here
    listener: Listener = quiet
    """Hears of each report, besides its line in the log."""
    _told: dict[str, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def begin(self, level: int = logging.WARNING) -> "Wait":
        """A wait that begins now."""
        return Wait(self, level, self.monotonic())

    def report(self, waited: Waited) -> None:
        """Logs a long wait, unless it was logged within the last minute."""
        now = self.monotonic()
        with self._lock:
            told = self._told.get(waited.what)
            if told is not None and now - told < AGAIN_SECONDS:
                return
            self._told[waited.what] = now
        self.tell(waited)

    def tell(self, waited: Waited) -> None:
        """Where a report goes."""
        about = f"{self.table}: " if self.table else ""
        log.log(waited.level, "%s%s", about, waited.text)
        self.listener(waited)

    @contextmanager
    def watched(
        self, look: Callable[[], Found | None], level: int = logging.WARNING
    ) -> Iterator[None]:
        """Reports a block that cannot do so itself, as it waits for somebody else's answer.

        `look` is called now and then, in another thread, once the block has gone on for long. It
        says what the block waits for, if it does.
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
    """One wait, since a moment of the waits' own `monotonic`."""

    waits: Waits
    level: int
    since: float

    def goes_on(self, what: str, left: float | None = None, ahead: float = 0.0) -> None:
        """Reports the wait if it is long; `left` and `ahead` are seconds from now.

        It ends when nothing is left, and is not looked at again for the next `ahead`.
        """
        if self.waits.monotonic() + ahead - self.since < LONG_SECONDS:
            return
        until = None
        if left is not None:
            until = self.waits.now() + timedelta(seconds=max(left, 0.0))
        self.waits.report(Waited(what, until, self.level))
