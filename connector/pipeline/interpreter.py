"""What reading and committing side by side ask of the interpreter."""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

TURN_SECONDS = 0.0005


@dataclass
class _Settings:
    """Settings of the whole process: who is first changes them, who is last restores them."""

    users: int = 0
    lock: Lock = field(default_factory=Lock)
    restore: Callable[[], None] = lambda: None

    def enter(self) -> None:
        with self.lock:
            self.users += 1
            if self.users == 1:
                self.restore = _change()

    def leave(self) -> None:
        with self.lock:
            self.users -= 1
            if not self.users:
                self.restore()


def _change() -> Callable[[], None]:
    collecting, turn = gc.isenabled(), sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(TURN_SECONDS)

    def restore() -> None:
        sys.setswitchinterval(turn)
        if collecting:
            gc.enable()

    return restore


_settings = _Settings()


@contextmanager
def busy() -> Iterator[None]:
    """No hunt for cycles in this block, and threads take turns quickly.

    Python's hunt for cycles costs more than the decoding itself, and records and rows are freed by
    their reference counts. A commit asks the database a hundred small things. After each it waits
    for the interpreter, by default for 5 ms if another thread decodes: measured, that made it take
    twice as long.
    """
    _settings.enter()
    try:
        yield
    finally:
        _settings.leave()
