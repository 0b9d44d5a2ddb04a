"""Scan workers: segments scanned beside the tail, in a thread or in processes of their own."""

import contextlib
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from connector.config import Config
from connector.core.state import Scannable, TableState
from connector.dynamodb.calls import Spending
from connector.dynamodb.source import DynamoDBSource
from connector.errors import ConnectorError, Interrupted
from connector.pipeline.scan import SegmentScan
from connector.pipeline.sync import make_encoder
from connector.ports import Progress
from connector.spool import ArrowSpool
from connector.waits import Waited, Waits
from connector.worker_processes import WorkerProcess

STOP_SECONDS = 20.0


def interruptible(pause: Callable[[float], bool]) -> Callable[[float], None]:
    """A sleep that ends with Interrupted where `pause` says that the run was asked to end."""

    def sleep(seconds: float) -> None:
        if pause(seconds):
            raise Interrupted(
                "The run was asked to end.", "The same command goes on where it stopped."
            )

    return sleep


def segment_scan(
    config: Config,
    state: Scannable,
    progress: Progress,
    stopped: Callable[[], bool],
    workers: int = 1,
    sleep: Callable[[float], None] = time.sleep,
    credentials: Any = None,
    spending: Spending | None = None,
    waits: Waits | None = None,
) -> SegmentScan:
    """A scan of single segments of one table, with a source and a spool of its own.

    The configured read units are shared out between `workers`, and with what else is read on one
    `spending`.
    """
    units = config.source.max_read_units
    return SegmentScan(
        source=DynamoDBSource(
            config.source,
            state.table,
            max_read_units=units / workers if units else None,
            sleep=sleep,
            credentials=credentials,
            spending=spending,
            waits=waits,
        ),
        spool=ArrowSpool(config.spool_location(), state.table, state.plan_id),
        state=state,
        encoder=make_encoder(state, config.destination.url.kind),
        progress=progress,
        quarantine_limit=config.quarantine.limit,
        stopped=stopped,
    )


class ThreadScan:
    """Scans the segments one after another in a thread: for tables that one core reads quickly."""

    def __init__(
        self,
        config: Config,
        state: TableState,
        progress: Progress,
        spending: Spending,
        credentials: Any = None,
        waits: Waits | None = None,
    ) -> None:
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        scan = segment_scan(
            config,
            state,
            progress,
            self._stopping.is_set,
            sleep=interruptible(self._stopping.wait),
            credentials=credentials,
            spending=spending,
            waits=waits,
        )
        self._thread = threading.Thread(target=self._run, args=(scan, state.segments), name="scan")
        self._thread.start()

    def _run(self, scan: SegmentScan, segments: int) -> None:
        try:
            for number in range(segments):
                if not scan.run(number):
                    return
        except BaseException as error:
            self._error = error

    def finished(self) -> bool:
        """Whether every segment is done. Raises the error the scan ended with."""
        if self._thread.is_alive():
            return False
        self._thread.join()
        if self._error is not None:
            raise self._error
        return True

    def stop(self) -> None:
        """Ends the scan after its page."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)


class ProcessScan:
    """Scans the segments in several processes, since decoding a page holds the interpreter."""

    def __init__(
        self,
        config: Config,
        state: TableState,
        progress: Progress,
        workers: Sequence[WorkerProcess],
        waits: Waits | None = None,
    ) -> None:
        self._progress = progress
        self._waits = waits or Waits(state.table)
        self._workers = workers
        for index, worker in enumerate(workers):
            segments = list(range(index, state.segments, len(workers)))
            # One that has died is found as soon as this scan is asked whether it is finished.
            with contextlib.suppress(OSError):
                worker.pipe.send((config, state, segments, len(workers)))

    def finished(self) -> bool:
        """Whether every segment is done. Raises the error of a worker, or of its death."""
        return all([self._drain(worker) for worker in self._workers])

    def _drain(self, worker: WorkerProcess) -> bool:
        ended = not worker.process.is_alive()
        with contextlib.suppress(EOFError, OSError):
            while worker.pipe.poll():
                self._hear(worker.pipe.recv())
        if ended and worker.process.exitcode != 0:
            raise ConnectorError(
                f"The worker {worker.process.name} died (exit code {worker.process.exitcode}).",
                "What it scanned is in the spool; run the same command again.",
            )
        return ended

    def _hear(self, message: tuple[Any, ...] | Waited | BaseException) -> None:
        if isinstance(message, BaseException):
            raise message
        if isinstance(message, Waited):
            self._waits.report(message)
            return
        self._progress.scanned(*message)

    def stop(self) -> None:
        """Ends the workers after their pages; what they have spooled stays."""
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


class _PipedProgress:
    """Sends progress to the parent process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def planned(self, items: int, segments: int) -> None:
        """The parent knows."""

    def scanned(self, segment: int, items: int, size: int, done: bool) -> None:
        """Sends a segment's counts."""
        self._pipe.send((segment, items, size, done))

    def tailed(self, counts: Any, lag: float | None) -> None:
        """A scan worker does not tail."""


class _PipedWaits(Waits):
    """Sends what is waited for to the parent process, which says it once for all workers."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self._pipe = pipe

    def report(self, waited: Waited) -> None:
        """Sends it."""
        self._pipe.send(waited)


def work(
    pipe: Connection,
    parent: int,
    config: Config,
    state: TableState,
    segments: list[int],
    workers: int,
) -> None:
    """Scans some segments of a table, in a process of its own; the pipe tells when to stop."""
    # The parent hears Ctrl-C and decides; workers end when it says so, or when it is gone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Items are freed by reference counts; hunting for cycles costs three times the decoding. What a
    # fork has inherited stays, and is not looked at: to look would copy it.
    gc.freeze()
    gc.disable()

    def stopped() -> bool:
        return os.getppid() != parent or pipe.poll()

    try:
        waits = _PipedWaits(pipe)
        scan = segment_scan(config, state, _PipedProgress(pipe), stopped, workers, waits=waits)
        for number in segments:
            if not scan.run(number):
                return
            gc.collect()
    except ConnectorError as error:
        pipe.send(error)
    except BrokenPipeError:
        return
    finally:
        pipe.close()
