"""Runs several tables at once: each has an outcome of its own, and none stops another."""

import copy
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock
from typing import Generic, TypeVar

from connector.core.words import first_few, joined
from connector.errors import ConnectorError, Interrupted, Transient, uncaught
from connector.stop import Stop

log = logging.getLogger("connector.tables")

SOON = (1.0, 60.0)
"""The first and the longest pause, in seconds, before retrying what may go away by itself."""
RARELY = (5.0, 600.0)
"""The same for what someone must fix: each try costs a little, and most of them fail."""
WAIT_SECONDS = 0.1
HEARING_SECONDS = 0.5
"""How long a signal may wait to be handled."""
_GRAVEST_FIRST = (Interrupted.exit_code, 1, 3, 2, 4, 0)
_NAMED = 5

Found = TypeVar("Found")


class Result(StrEnum):
    """How a run ended for a table."""

    OK = "ok"
    FAILED = "failed"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Outcome(Generic[Found]):
    """What a run returned for one table, and what went wrong.

    A table that is ok has an error only if it was followed until the run was asked to end.
    """

    table: str
    result: Result
    found: Found | None = None
    error: ConnectorError | None = None


class Failures:
    """The tables of a run that have failed at the moment, and why."""

    def __init__(self, tables: Iterable[str]) -> None:
        self._tables = frozenset(tables)
        self._errors: dict[str, ConnectorError] = {}
        self._waiting: set[str] = set()
        self._hopeless = False
        self._lock = Lock()

    def add(self, table: str, error: ConnectorError) -> None:
        """Records why a table has failed."""
        with self._lock:
            self._errors[table] = error

    def recovered(self, table: str) -> None:
        """Removes a table's failure, and logs that it is up to date again."""
        with self._lock:
            before = self._errors.pop(table, None)
        if before is not None:
            log.warning("%s: is up to date again", table)

    def of(self, table: str) -> ConnectorError | None:
        """Why a table has failed, or None."""
        return self._errors.get(table)

    def alike(self, table: str, error: ConnectorError) -> str | None:
        """Another table that has failed with the same error, which need not be repeated."""
        with self._lock:
            found = [other for other, known in self._errors.items() if str(known) == str(error)]
        return next((other for other in found if other != table), None)

    def of_every_table(self) -> ConnectorError | None:
        """An error that every other table would meet too."""
        with self._lock:
            found = [error for error in self._errors.values() if error.of_every_table]
        return found[0] if found else None

    def waits(self, table: str) -> None:
        """Records that a table waits for someone to act before its next try."""
        with self._lock:
            self._waiting.add(table)
            if self._waiting != self._tables or self._hopeless:
                return
            self._hopeless = True
        log.warning("every table needs a person before it can continue, so the run ends")

    def may_retry(self, table: str) -> bool:
        """Whether a table may try again; it may not once all of them wait for someone to act."""
        with self._lock:
            if not self._hopeless:
                self._waiting.discard(table)
            return not self._hopeless

    def hopeless(self) -> bool:
        """Whether every table waits for someone to act."""
        return self._hopeless

    def text(self) -> str:
        """The failed tables, to append to a line of progress."""
        with self._lock:
            failed = sorted(self._errors)
        return f"; failed: {listed(failed)}" if failed else ""


def gravest(codes: Iterable[int]) -> int:
    """The gravest exit code: a bug before data before permissions before a delay."""
    return min(codes, key=_GRAVEST_FIRST.index, default=0)


def listed(tables: Sequence[str]) -> str:
    """The names of tables in one line, shortened if there are many."""
    return joined(first_few(tables, _NAMED), last="and")


def side_by_side(
    tables: Sequence[str],
    run: Callable[[str], Found],
    *,
    at_once: int,
    stopped: Callable[[], bool],
    failures: Failures,
) -> list[Outcome[Found]]:
    """Runs `at_once` tables at a time, and returns the outcome of each, in their order."""

    def one(table: str) -> Outcome[Found]:
        if stopped():
            error = Interrupted(
                "The run was asked to end before it came to this table.",
                "Run the same command again.",
            )
            return Outcome(table, Result.NOT_TRIED, error=error)
        if common := failures.of_every_table():
            return Outcome(table, Result.NOT_TRIED, error=common)
        try:
            return Outcome(table, Result.OK, run(table))
        except Exception as error:
            problem = our_error(error)
        failures.add(table, problem)
        return Outcome(table, Result.FAILED, error=problem)

    with futures.ThreadPoolExecutor(min(at_once, len(tables)), "table") as threads:
        running = [threads.submit(one, table) for table in tables]
        # A signal may reach any thread, but Python handles it in this one, once it wakes up.
        while futures.wait(running, HEARING_SECONDS).not_done:
            pass
        return [each.result() for each in running]


def keep_trying(
    table: str,
    attempt: Callable[[], Found],
    failures: Failures,
    over: Callable[[], bool],
    stop: Stop,
) -> Found:
    """Tries again, after growing pauses, until an attempt ends without an error.

    Raises the last error if the run ends first, or once every table waits for someone to act.
    """
    wait = 0.0
    while True:
        known = failures.of(table)
        try:
            return attempt()
        except Exception as error:
            problem = our_error(error)
        # A table that has recovered in between has now failed for the first time again.
        known = known and failures.of(table)
        if isinstance(problem, Interrupted):
            raise known or problem
        failures.add(table, problem)
        passing = isinstance(problem, Transient)
        shortest, longest = SOON if passing else RARELY
        wait = min(max(shortest, 2 * wait if known else 0.0), longest)
        if not passing:
            failures.waits(table)
        if not failures.hopeless():
            other = failures.alike(table, problem)
            why = f"failed as {other} did." if other else f"failed: {problem}"
            log.warning("%s: %s It is tried again in %.0f s.", table, why, wait)
        ends = _ends(wait, lambda: over() or failures.hopeless(), stop)
        if ends or not failures.may_retry(table):
            raise problem


def _ends(seconds: float, over: Callable[[], bool], stop: Stop) -> bool:
    """Waits; true if the run ends meanwhile."""
    while seconds > 0 and not over():
        if stop.wait(min(seconds, WAIT_SECONDS)):
            return True
        seconds -= WAIT_SECONDS
    return over()


def our_error(error: Exception) -> ConnectorError:
    """The exception as an error of ours, without its traceback."""
    if isinstance(error, ConnectorError):
        return copy.copy(error)
    return uncaught(error)
