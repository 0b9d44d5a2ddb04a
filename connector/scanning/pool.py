"""Processes that wait for a task: forked at a program's beginning, or started when they are needed.

A new process imports for half a second what the program has imported already. A fork has it at
once, but is safe only while nothing runs beside the main thread.
"""

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

END_SECONDS = 1.0
"""How long a process may take to hear that its pipe was closed; after that it is not waited for."""

Subject = TypeVar("Subject")


def usual_workers() -> int:
    """How many workers scan where the configuration does not say it."""
    return min(os.cpu_count() or 1, 4)


@dataclass(frozen=True)
class WorkerProcess:
    """A process, and the pipe that brings it its task and takes back what it tells."""

    process: BaseProcess
    pipe: Connection

    def give(self, task: Callable[..., None], *arguments: object) -> None:
        """Lets the process run `task(pipe, parent, *arguments)` and end. Raises OSError if it died.

        `task` is a function of a module, which the process imports unless it was forked with it.
        """
        self.pipe.send((task, arguments))


@dataclass
class WorkerProcesses:
    """Processes that wait for a task."""

    _idle: list[WorkerProcess] = field(default_factory=list, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def fork(self, count: int) -> None:
        """Forks `count` idle processes if that is safe here; otherwise `take` starts them later."""
        # Elsewhere than on Linux, what the system's own libraries hold may not outlive a fork.
        if count < 2 or sys.platform != "linux" or threading.active_count() > 1:
            return
        with warnings.catch_warnings():
            # Python counts the thread of Arrow's allocator, which knows what to do in a fork.
            warnings.simplefilter("ignore", DeprecationWarning)
            for number in range(count):
                try:
                    self._idle.append(_start("fork", number))
                except OSError:
                    # No more processes may be had. Whether they are needed is not known yet.
                    return

    def take(self, count: int) -> list[WorkerProcess]:
        """`count` processes, which are the caller's to end; idle ones that are left over are ended.

        Tables that are synced side by side may ask at once.
        """
        idle = self._emptied()
        taken = [worker for worker in idle if worker.process.is_alive()][:count]
        _end([worker for worker in idle if worker not in taken])
        return taken + [_start("spawn", number) for number in range(len(taken), count)]

    def close(self) -> None:
        """Lets the processes end that nobody has taken."""
        _end(self._emptied())

    def closed_before(self, ended: Callable[[Subject], bool]) -> Callable[[Subject], bool]:
        """The condition for the end of a tail: by then a scan has begun, or none will."""

        def closed(subject: Subject) -> bool:
            self.close()
            return ended(subject)

        return closed

    def _emptied(self) -> list[WorkerProcess]:
        with self._lock:
            idle, self._idle = self._idle, []
        return idle


def _end(workers: list[WorkerProcess]) -> None:
    for worker in workers:
        worker.pipe.close()
    for worker in workers:
        worker.process.join(END_SECONDS)


def _start(method: str, number: int) -> WorkerProcess:
    context: Any = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_serve, args=(ours, theirs, os.getpid()), name=f"scan-{number}", daemon=True
    )
    with _deaf_to_interrupts():
        process.start()
    theirs.close()
    return WorkerProcess(process, ours)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """What is started here never hears Ctrl-C; one that comes meanwhile is heard afterwards."""
    # It is started with the first new process, and would let this thread hear again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(other_end: Connection, pipe: Connection, parent: int) -> None:
    # This copy of it would hide that the parent has closed its own.
    other_end.close()
    try:
        task, arguments = pipe.recv()
    except EOFError:
        return
    task(pipe, parent, *arguments)
