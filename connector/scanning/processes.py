"""A scan in separate processes, beside the tail."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection

from connector.config.model import Config
from connector.core.state import TableState
from connector.errors import ConnectorError
from connector.events import Event, Listener, Waited
from connector.pipeline.interpreter import collect, disable_gc_in_process
from connector.scanning.pool import WorkerProcess, WorkerProcesses
from connector.scanning.segments import STOP_SECONDS, segment_scan
from connector.stop import Stop
from connector.waits import Waits


@contextlib.contextmanager
def forked_workers(workers: int, segments: int | None) -> Iterator[WorkerProcesses]:
    """As many idle processes as a scan of `segments` can use; idle ones end with the block.

    They have imported this module already, which takes a new process half a second.
    """
    processes = WorkerProcesses()
    processes.fork(min(workers, segments or workers))
    try:
        yield processes
    finally:
        processes.close()


class ProcessScan:
    """Scans the segments in several processes, since decoding a page holds the interpreter."""

    def __init__(
        self,
        config: Config,
        state: TableState,
        listener: Listener,
        workers: Sequence[WorkerProcess],
        waits: Waits | None = None,
    ) -> None:
        self._listener = listener
        self._waits = waits or Waits(state.table)
        self._workers = workers
        for index, worker in enumerate(workers):
            segments = list(range(index, state.segments, len(workers)))
            # A process that has died is noticed by `finished`.
            with contextlib.suppress(OSError):
                worker.give(_work, config, state, segments, len(workers))

    def finished(self) -> bool:
        """Whether every segment is done. Raises the error of a worker that failed or died."""
        return all([self._drain(worker) for worker in self._workers])

    def _drain(self, worker: WorkerProcess) -> bool:
        ended = not worker.process.is_alive()
        with contextlib.suppress(EOFError, OSError):
            while worker.pipe.poll():
                self._hear(worker.pipe.recv())
        if ended and worker.process.exitcode != 0:
            raise ConnectorError(
                f"The worker {worker.process.name} died (exit code {worker.process.exitcode}).",
                "What it has scanned is in the spool; run the same command again.",
            )
        return ended

    def _hear(self, message: Event | BaseException) -> None:
        if isinstance(message, BaseException):
            raise message
        if isinstance(message, Waited):
            self._waits.report(message)
            return
        self._listener(message)

    def stop(self) -> None:
        """Ends the workers after their current pages; the rows they have spooled stay."""
        for worker in self._workers:
            with contextlib.suppress(OSError):
                worker.pipe.send("stop")
        deadline = time.monotonic() + STOP_SECONDS
        for worker in self._workers:
            while worker.process.is_alive() and time.monotonic() < deadline:
                _discard(worker.pipe)
                worker.process.join(0.05)
            if worker.process.is_alive():
                # The spool holds whole links only, so a worker may be killed anywhere.
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()


def _discard(pipe: Connection) -> None:
    """Empties a pipe, so that a worker that is writing to it can end."""
    with contextlib.suppress(EOFError, OSError):
        while pipe.poll():
            pipe.recv()


class _PipedWaits(Waits):
    """Sends waits to the parent process, which reports them once for all workers."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self._pipe = pipe

    def report(self, waited: Waited) -> None:
        """Sends a wait to the parent process."""
        self._pipe.send(waited)


def _work(
    pipe: Connection,
    parent: int,
    config: Config,
    state: TableState,
    segments: list[int],
    workers: int,
) -> None:
    """Scans some segments of a table in a separate process; a message in the pipe stops it."""
    # The parent handles Ctrl-C; workers end when it says so, or when it is gone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    disable_gc_in_process()

    def stopped() -> bool:
        return os.getppid() != parent or pipe.poll()

    def wait(seconds: float) -> bool:
        time.sleep(seconds)
        return False

    try:
        waits = _PipedWaits(pipe)
        scan = segment_scan(config, state, pipe.send, Stop(stopped, wait), workers, waits=waits)
        for number in segments:
            if not scan.run(number):
                return
            collect()
    except ConnectorError as error:
        pipe.send(error)
    except BrokenPipeError:
        return
    finally:
        pipe.close()
