"""Processes that wait for a task: forked when the program starts, or started on demand.

A new process spends half a second on imports. A fork has them already, but is safe only while no
other thread is running.
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
"""How long to wait for a process to end after its pipe was closed."""

Subject = TypeVar("Subject")


def usual_workers() -> int:
    """The number of workers that scan by default."""
    return min(os.cpu_count() or 1, 4)


@dataclass(frozen=True)
class WorkerProcess:
    """A process, and the pipe for its task and its reports."""

    process: BaseProcess
    pipe: Connection

    def give(self, task: Callable[..., None], *arguments: object) -> None:
        """Has the process run `task(pipe, parent, *arguments)` and end. Raises OSError if it died.

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
        # On other systems than Linux, the system's own libraries may not survive a fork.
        if count < 2 or sys.platform != "linux" or threading.active_count() > 1:
            return
        with warnings.catch_warnings():
            # Python also counts the thread of Arrow's allocator, which is made for forks.
            warnings.simplefilter("ignore", DeprecationWarning)
            for number in range(count):
                try:
                    self._idle.append(_start("fork", number))
                except OSError:
                    # The system allows no more processes, and they may turn out not to be needed.
                    return

    def take(self, count: int) -> list[WorkerProcess]:
        """`count` processes, which the caller must end; the remaining idle ones are ended.

        Tables that are synced at the same time may call this at once.
        """
        idle = self._emptied()
        taken = [worker for worker in idle if worker.process.is_alive()][:count]
        _end([worker for worker in idle if worker not in taken])
        return taken + [_start("spawn", number) for number in range(len(taken), count)]

    def close(self) -> None:
        """Ends the processes that are still idle."""
        _end(self._emptied())

    def closed_before(self, ended: Callable[[Subject], bool]) -> Callable[[Subject], bool]:
        """The condition `ended`, which first ends idle processes: no other scan will need them."""

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
    if method == "spawn":
        # The tracker, which a fork does without, would unblock the signal in this thread below.
        resource_tracker.ensure_running()
    with _deaf_to_interrupts():
        process.start()
    theirs.close()
    return WorkerProcess(process, ours)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started in this block ignore Ctrl-C; this process handles it after the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(other_end: Connection, pipe: Connection, parent: int) -> None:
    # This copy would hide that the parent has closed its end.
    other_end.close()
    try:
        task, arguments = pipe.recv()
    except EOFError:
        return
    task(pipe, parent, *arguments)
