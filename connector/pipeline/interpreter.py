"""What a round asks of the interpreter: no hunt for cycles, and turns that are taken quickly."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """No collection in this block: records and rows are freed by their reference counts.

    Python's hunt for cycles costs more than the decoding itself.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


TURN_SECONDS = 0.0005


@contextmanager
def side_by_side() -> Iterator[None]:
    """Threads take turns quickly in this block.

    A commit asks the database a hundred small things. After each it waits for the interpreter, by
    default for 5 ms if another thread decodes: measured, that made it take twice as long.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
