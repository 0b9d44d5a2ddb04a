"""What the commands that read tables have in common: signals, runs with progress, outcomes."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from connector.cli.runs.flags import CAUGHT_UP, Flags, Until
from connector.cli.runs.leaving import leave_with, stopped_by_signals
from connector.errors import ConfigError, ConnectorError, Interrupted
from connector.pipeline.side_by_side import Failures, Outcome, Result, keep_trying, side_by_side
from connector.stop import MACHINE, Clock, Stop

if TYPE_CHECKING:
    from connector.cli.screen.output import Printer
    from connector.config.model import Config
    from connector.events import Listener
    from connector.job import Shared
    from connector.pipeline.following.tail import Tail
    from connector.pipeline.sync import Run
    from connector.ports import Destination
    from connector.scanning.pool import WorkerProcesses

Found = TypeVar("Found")

log = logging.getLogger("connector.cli")


@dataclass
class Tried:
    """A table's destination in one run, and how long the run worked on it."""

    destination: "Destination"
    clock: Clock = MACHINE
    ended: float | None = None

    def __post_init__(self) -> None:
        self._began = self.clock.monotonic()

    def end(self) -> None:
        """Records the end of a try; the last one counts."""
        self.ended = self.clock.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds from the first try to the end of the last one."""
        return round((self.ended or self.clock.monotonic()) - self._began, 1)


Action = Callable[["Run", Callable[["Tail"], bool]], Found]
"""What a command does with the run of one table; the condition ends its tail."""


@contextmanager
def command(flags: Flags) -> "Iterator[tuple[Printer, Stop]]":
    """Runs a command's body: yields its printer and what stops it early, and sets the exit code."""
    with leave_with(flags.quiet), stopped_by_signals() as stop:
        from connector.cli.screen.output import Printer

        yield Printer(flags.output), stop


def chosen(named: Sequence[str] | None, config: "Config", verb: str) -> list[str]:
    """The named tables without repetition, or all configured ones."""
    tables = list(dict.fromkeys(named or config.tables))
    if not tables:
        raise ConfigError(f"There is no table to {verb}.", f"Name one: `connector {verb} TABLE`.")
    return tables


@dataclass(frozen=True)
class Work:
    """A command and its tables."""

    name: str
    flags: Flags
    config: "Config"
    tables: Sequence[str]
    stop: Stop
    jobs: int
    until: Until = CAUGHT_UP
    processes: "WorkerProcesses | None" = None
    tried: dict[str, Tried] = field(default_factory=dict)
    """The tables that the run has started on."""
    export: str | None = None
    """The url of what the table is read whole from, instead of what its settings say."""
    region: str | None = None
    """The Region to read in, instead of the one of the table's state."""

    def publishing(self) -> "AbstractContextManager[None]":
        """While its block runs, and after it, copies are published for readers if configured."""
        from connector import job

        return job.publishing(self.config, self.stop)

    @property
    def cut_short(self) -> bool:
        """Whether a run that would have kept going was asked to end."""
        return self.until.lasts and self.stop.requested()

    @property
    def several(self) -> bool:
        """Whether there is more than one table."""
        return len(self.tables) > 1

    def outcomes(self, action: Action[Found]) -> list[Outcome[Found]]:
        """The outcome of each table.

        If there is only one table, its error is raised, unless the run was asked to end.
        """
        for path in self.flags.strangers():
            log.warning("%s is of no configured table, so nothing in it applies", path)
        return self._side_by_side(action) if self.several else [self._alone(self.tables[0], action)]

    def _alone(self, table: str, action: Action[Found]) -> Outcome[Found]:
        from connector import job
        from connector.cli.screen.progress import shown_progress

        shared = job.Shared.by(self.config, processes=self.processes)
        last = shared.processes.closed_before(self.until.begin())
        followed: set[str] = set()

        def ended(tail: "Tail") -> bool:
            followed.add(table)
            return last(tail)

        with shown_progress(Failures([table]), self.several, self.flags.quiet) as shown:
            run = self._opened(table, shown(table), shared)
            try:
                return Outcome(table, Result.OK, self._timed(run, action, ended))
            except Interrupted as error:
                outcome: Outcome[Found] = Outcome(table, Result.FAILED, error=error)
        return _at_its_end(outcome, followed) if self.until.lasts else outcome

    def _side_by_side(self, action: Action[Found]) -> list[Outcome[Found]]:
        from connector import job
        from connector.cli.screen.progress import shown_progress

        if unusable := self._unusable():
            return [Outcome(table, Result.NOT_TRIED, error=unusable) for table in self.tables]
        shared = job.Shared.by(self.config, len(self.tables), self.jobs, self.processes)
        failures = Failures(self.tables)
        followed: set[str] = set()
        ending = self.until.begin()
        last = shared.processes.closed_before(ending)

        def attempt(table: str) -> Found:
            def ended(tail: "Tail") -> bool:
                followed.add(table)
                if failures.of(table) and tail.caught_up():
                    failures.recovered(table)
                return last(tail)

            run = self._opened(table, shown(table), shared)
            return self._timed(run, action, ended)

        def retried(table: str) -> Found:
            return keep_trying(table, lambda: attempt(table), failures, ending.over, self.stop)

        with shown_progress(failures, self.several, self.flags.quiet) as shown:
            outcomes = side_by_side(
                self.tables,
                retried if self.until.lasts else attempt,
                at_once=len(self.tables) if self.until.lasts else self.jobs,
                stopped=self.stop.requested,
                failures=failures,
            )
        if self.until.lasts:
            return [_at_its_end(outcome, followed) for outcome in outcomes]
        return outcomes

    def _unusable(self) -> ConnectorError | None:
        """Why the destination cannot be used at all, or None if it can."""
        from connector import job

        try:
            job.open_destination(self.config).tables()
        except ConnectorError as error:
            return error
        return None

    def _timed(self, run: "Run", action: Action[Found], ended: "Callable[[Tail], bool]") -> Found:
        try:
            return action(run, ended)
        finally:
            self.tried[run.table].end()

    def _opened(self, table: str, listener: "Listener", shared: "Shared") -> "Run":
        from connector import job

        if table not in self.tried:
            self.tried[table] = Tried(job.open_destination(self.config, table, self.name))
        tried = self.tried[table]
        if tried.ended is not None:
            # What kept it from going on may be mended, such as keys in a file.
            shared.clients.forget(before=tried.ended)
        return job.open_run(
            self.config,
            table,
            listener=listener,
            stop=self.stop,
            command=self.name,
            shared=shared,
            destination=tried.destination,
            export=self.export,
            region=self.region,
        )


def _at_its_end(outcome: Outcome[Found], followed: set[str]) -> Outcome[Found]:
    """Ctrl-C is how a run that follows ends, so a table that was up to date has not failed."""
    if isinstance(outcome.error, Interrupted) and outcome.table in followed:
        return replace(outcome, result=Result.OK)
    return outcome
