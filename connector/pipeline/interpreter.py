"""Settings of the interpreter for reading and committing.

Python's cyclic garbage collection costs up to three times as much as the decoding, and reference
counts free records and rows anyway.
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
    """A setting of the whole process: the first user changes it, and the last one restores it."""

    change: Callable[[], Callable[[], None]]
    """Changes the setting, and returns a function that restores it."""
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


def _disable_gc() -> Callable[[], None]:
    collecting = gc.isenabled()
    gc.disable()
    return gc.enable if collecting else lambda: None


def _take_turns_quickly() -> Callable[[], None]:
    turn = sys.getswitchinterval()
    sys.setswitchinterval(TURN_SECONDS)
    return lambda: sys.setswitchinterval(turn)


_cycles = _Setting(_disable_gc)
_turns = _Setting(_take_turns_quickly)


@contextmanager
def without_gc() -> Iterator[None]:
    """Disables cyclic garbage collection in this block."""
    with _cycles.changed():
        yield


@contextmanager
def busy() -> Iterator[None]:
    """Disables cyclic garbage collection in this block, and makes threads take turns quickly.

    A commit runs a hundred small statements. After each it waits for the interpreter, by default
    for 5 ms if another thread decodes; in measurements it took twice as long for that.
    """
    with _cycles.changed(), _turns.changed():
        yield


def collect_seldom() -> None:
    """Looks for cycles after each 250,000 new objects instead of 700, in a program of our own.

    The imports of a run create some 200,000 objects, and all of them stay.
    """
    gc.set_threshold(250_000, 20, 20)


def disable_gc_in_process() -> None:
    """Disables cyclic garbage collection until this process ends, except for `collect`.

    Objects that a fork has inherited are never examined, since that would copy their memory.
    """
    gc.freeze()
    gc.disable()


def collect() -> None:
    """Frees what reference counts have not freed."""
    gc.collect()
