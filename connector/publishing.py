"""Publishes copies for readers: now and then while a run goes on, and at its end."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import Event, Thread
from types import TracebackType

from connector.core.publishing import Copied, Copies, Held
from connector.errors import Busy, ConnectorError, Interrupted, uncaught
from connector.events import CopyPublished, Listener, quiet
from connector.stop import MACHINE, Clock, Stop

log = logging.getLogger("connector.publish")

LAST_SECONDS = 15.0
"""The longest that the last copy may take if the run was asked to end, which ends in 30 seconds."""
OTHERS_SECONDS = 60.0
"""The longest that a run waits at its end while another one publishes, or writes to the file."""
LOOK_SECONDS = 1.0
"""How often it is looked whether there is anything new, once a copy may be published."""
_REST_SECONDS = 0.2
AGAIN_SECONDS = 10.0
"""How long to wait before the first copy of a run, and after a try that published nothing."""


@dataclass
class Publishing:
    """Publishes while a block runs, in a thread, and once more when it has ended."""

    copies: Copies
    stop: Stop
    clock: Clock = MACHINE
    listener: Listener = quiet

    def __post_init__(self) -> None:
        self._over = Event()
        self._said = ""
        self._thread = Thread(target=self._now_and_then, name="publish", daemon=True)

    def __enter__(self) -> None:
        self.copies.refuse()
        self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        try:
            self._publish_last(OTHERS_SECONDS if error is None else 0.0)
        except Interrupted:
            log.warning("no time was left to publish a copy: the next run publishes it")
        except ConnectorError as problem:
            if error is None:
                raise
            # The run ends with its first error.
            log.warning("no copy was published: %s", problem)

    def _publish_last(self, patience: float) -> None:
        """Publishes, once whoever else publishes or writes at the moment has ended."""
        until = self.clock.monotonic() + patience
        going = self._last_going()
        while True:
            try:
                published = self._publish(going)
            except Busy:
                if self.clock.monotonic() >= until or self.stop.wait(_REST_SECONDS):
                    raise
                continue
            if isinstance(published, Held):
                log.info("%s", published.text)
            return

    def _last_going(self) -> Callable[[], None]:
        until: list[float] = []

        def going() -> None:
            if self.stop.requested():
                until.append(self.clock.monotonic() + LAST_SECONDS)
                if self.clock.monotonic() >= until[0]:
                    raise Interrupted("The run was asked to end.")

        return going

    def _now_and_then(self) -> None:
        pause = self._since_the_last()
        while not self._over.wait(pause):
            try:
                published = self._publish(self._going)
            except Interrupted:
                return
            except Exception as error:
                known = error if isinstance(error, ConnectorError) else uncaught(error)
                self._warn(f"no copy was published: {known}")
                pause = min(self.copies.every, AGAIN_SECONDS)
                continue
            if isinstance(published, Held):
                # The table's own error says it, or the progress of its scan.
                pause = min(self.copies.every, AGAIN_SECONDS)
            else:
                pause = self.copies.every if published else min(self.copies.every, LOOK_SECONDS)

    def _since_the_last(self) -> float:
        """Seconds until another copy may be published, after that of an earlier run."""
        # A run that ends soon publishes only at its end.
        soon = min(self.copies.every, AGAIN_SECONDS)
        newest = self.copies.newest()
        if newest is None:
            return soon
        return max(soon, min(self.copies.every - self._age(newest), self.copies.every))

    def _age(self, newest: datetime) -> float:
        return (self.clock.now() - newest).total_seconds()

    def _going(self) -> None:
        if self._over.is_set():
            raise Interrupted("The run is over, and publishes a last copy.")

    def _publish(self, going: Callable[[], None]) -> Copied | Held | None:
        published = self.copies.publish(going)
        if isinstance(published, Copied):
            self._said = ""
            log.info("%s", published.text)
            self.listener(CopyPublished(published.size, published.seconds, published.shared))
        return published

    def _warn(self, text: str) -> None:
        """Logs why nothing is published, once until that changes."""
        if text != self._said:
            self._said = text
            log.warning("%s", text)
