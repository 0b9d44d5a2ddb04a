"""Several tables in one run: each comes to an outcome of its own, and none ends another."""

import copy
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures
from dataclasses import dataclass
from enum import StrEnum
from threading import Lock
from typing import Generic, TypeVar

from connector.core.words import first_few
from connector.errors import ConnectorError, Interrupted, Transient, uncaught
from connector.stop import Stop

log = logging.getLogger("connector.tables")

SOON = (1.0, 60.0)
"""The first and the longest pause, in seconds, before what may pass by itself is tried again."""
RARELY = (5.0, 600.0)
"""The same for what a person must mend: each try costs a little, and most of them are in vain."""
WAIT_SECONDS = 0.1
HEARING_SECONDS = 0.5
"""How long a signal may wait to be heard."""
_GRAVEST_FIRST = (Interrupted.exit_code, 1, 3, 2, 4, 0)
_NAMED = 5

Found = TypeVar("Found")


class Result(StrEnum):
    """How a table came out of a run."""

    OK = "ok"
    FAILED = "failed"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Outcome(Generic[Found]):
    """What a run found for one table, and what went wrong.

    One that is ok has an error only where it was followed until the run was asked to end.
    """

    table: str
    result: Result
    found: Found | None = None
    error: ConnectorError | None = None


class Troubles:
    """What is wrong with which table of a run, for as long as it is."""

    def __init__(self, tables: Iterable[str]) -> None:
        self._tables = frozenset(tables)
        self._errors: dict[str, ConnectorError] = {}
        self._waiting: set[str] = set()
        self._hopeless = False
        self._lock = Lock()

    def take(self, table: str, error: ConnectorError) -> None:
        """Remembers why a table has failed."""
        with self._lock:
            self._errors[table] = error

    def mended(self, table: str) -> None:
        """Forgets it, and says so."""
        with self._lock:
            before = self._errors.pop(table, None)
        if before is not None:
            log.warning("%s: is up to date again", table)

    def of(self, table: str) -> ConnectorError | None:
        """Why a table has failed, or None."""
        return self._errors.get(table)

    def alike(self, table: str, error: ConnectorError) -> str | None:
        """Another table that has failed with the same error, so that it need not be said again."""
        with self._lock:
            found = [other for other, known in self._errors.items() if str(known) == str(error)]
        return next((other for other in found if other != table), None)

    def of_every_table(self) -> ConnectorError | None:
        """An error that every other table would only meet again."""
        with self._lock:
            found = [error for error in self._errors.values() if error.of_every_table]
        return found[0] if found else None

    def waits(self, table: str) -> None:
        """A table that a person must mend waits for its next try."""
        with self._lock:
            self._waiting.add(table)
            if self._waiting != self._tables or self._hopeless:
                return
            self._hopeless = True
        log.warning("no table can go on before a person has acted, so the run ends")

    def tries(self, table: str) -> bool:
        """Whether a table may try again: not once all of them have waited for a person."""
        with self._lock:
            if not self._hopeless:
                self._waiting.discard(table)
            return not self._hopeless

    def hopeless(self) -> bool:
        """Whether no table could go on without a person."""
        return self._hopeless

    def text(self) -> str:
        """What a line of progress adds."""
        with self._lock:
            failed = sorted(self._errors)
        return f"; failed: {listed(failed)}" if failed else ""


def gravest(codes: Iterable[int]) -> int:
    """The exit code that speaks for several: a bug before data before permissions before delay."""
    return min(codes, key=_GRAVEST_FIRST.index, default=0)


def listed(tables: Sequence[str]) -> str:
    """The names of tables, as far as a line can hold them."""
    names = first_few(tables, _NAMED)
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def side_by_side(
    tables: Sequence[str],
    run: Callable[[str], Found],
    *,
    at_once: int,
    stopped: Callable[[], bool],
    troubles: Troubles,
) -> list[Outcome[Found]]:
    """Runs so many tables at once, and says what came of each, in their order."""

    def one(table: str) -> Outcome[Found]:
        if stopped():
            error = Interrupted(
                "The run was asked to end before it came to this table.",
                "Run the same command again.",
            )
            return Outcome(table, Result.NOT_TRIED, error=error)
        if common := troubles.of_every_table():
            return Outcome(table, Result.NOT_TRIED, error=common)
        try:
            return Outcome(table, Result.OK, run(table))
        except Exception as error:
            problem = told(error)
        troubles.take(table, problem)
        return Outcome(table, Result.FAILED, error=problem)

    with futures.ThreadPoolExecutor(min(at_once, len(tables)), "table") as threads:
        running = [threads.submit(one, table) for table in tables]
        # A signal may come to any thread, and Python hears it in this one, once it is awake.
        while futures.wait(running, HEARING_SECONDS).not_done:
            pass
        return [each.result() for each in running]


def keep(
    table: str,
    attempt: Callable[[], Found],
    troubles: Troubles,
    over: Callable[[], bool],
    stop: Stop,
) -> Found:
    """Tries again, after a pause that grows, until an attempt ends without an error.

    Raises the last error where the run ends before that, or where no table is left that could go
    on without a person.
    """
    wait = 0.0
    while True:
        known = troubles.of(table)
        try:
            return attempt()
        except Exception as error:
            problem = told(error)
        # What was mended meanwhile has failed for the first time again.
        known = known and troubles.of(table)
        if isinstance(problem, Interrupted):
            raise known or problem
        troubles.take(table, problem)
        passing = isinstance(problem, Transient)
        shortest, longest = SOON if passing else RARELY
        wait = min(max(shortest, 2 * wait if known else 0.0), longest)
        if not passing:
            troubles.waits(table)
        if not troubles.hopeless():
            other = troubles.alike(table, problem)
            why = f"failed as {other} did." if other else f"failed: {problem}"
            log.warning("%s: %s It is tried again in %.0f s.", table, why, wait)
        if _ends(wait, lambda: over() or troubles.hopeless(), stop) or not troubles.tries(table):
            raise problem


def _ends(seconds: float, over: Callable[[], bool], stop: Stop) -> bool:
    """Waits; true where the run ends meanwhile."""
    while seconds > 0 and not over():
        if stop.wait(min(seconds, WAIT_SECONDS)):
            return True
        seconds -= WAIT_SECONDS
    return over()


def told(error: Exception) -> ConnectorError:
    """The error in our own words, and without the frames that it came through."""
    if isinstance(error, ConnectorError):
        return copy.copy(error)
    return uncaught(error)
