"""What reading and committing ask of the interpreter.

Python's hunt for cycles costs up to three times what the decoding does, and records and rows are
freed by their reference counts anyway.
"""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

TURN_SECONDS = 0.0005


@dataclass
class _Setting:
    """A setting of the whole process: who is first changes it, who is last restores it."""

    change: Callable[[], Callable[[], None]]
    """Changes it, and returns what restores it."""
    users: int = 0
    lock: Lock = field(default_factory=Lock)
    restore: Callable[[], None] = lambda: None

    @contextmanager
    def changed(self) -> Iterator[None]:
        with self.lock:
            self.users += 1
            if self.users == 1:
                self.restore = self.change()
        try:
            yield
        finally:
            with self.lock:
                self.users -= 1
                if not self.users:
                    self.restore()


def _hunt_no_cycles() -> Callable[[], None]:
    collecting = gc.isenabled()
    gc.disable()
    return gc.enable if collecting else lambda: None


def _take_turns_quickly() -> Callable[[], None]:
    turn = sys.getswitchinterval()
    sys.setswitchinterval(TURN_SECONDS)
    return lambda: sys.setswitchinterval(turn)


_cycles = _Setting(_hunt_no_cycles)
_turns = _Setting(_take_turns_quickly)


@contextmanager
def without_gc() -> Iterator[None]:
    """No hunt for cycles in this block."""
    with _cycles.changed():
        yield


@contextmanager
def busy() -> Iterator[None]:
    """No hunt for cycles in this block, and threads take turns quickly.

    A commit asks the database a hundred small things. After each it waits for the interpreter, by
    default for 5 ms if another thread decodes: measured, that made it take twice as long.
    """
    with _cycles.changed(), _turns.changed():
        yield


def without_gc_for_good() -> None:
    """No hunt for cycles in this process, but for `collect`, until it ends.

    What a fork has inherited stays, and is not looked at: to look would copy it.
    """
    gc.freeze()
    gc.disable()


def collect() -> None:
    """Frees what reference counts have not."""
    gc.collect()
