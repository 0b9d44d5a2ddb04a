"""What each command does, once its flags are read."""

import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from connector import config as configuration
from connector import job
from connector.cli import Output
from connector.cli_output import Printer, state_row, status_row
from connector.cli_progress import shown_progress
from connector.cli_run import leave_with, stopped_by_signals
from connector.config import Config
from connector.core.state import TableState
from connector.errors import ConfigError, ConnectorError, Mismatch, Transient
from connector.pipeline.sync import Run
from connector.pipeline.tail import Tail
from connector.pipeline.verify import Verdict, as_dict
from connector.pipeline.verify import verify as compare
from connector.worker_processes import WorkerProcesses

log = logging.getLogger("connector.cli")

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Flags:
    """What every command takes."""

    config: Path | None
    to: str | None
    output: Output
    quiet: bool

    def load(
        self, tables: list[str] | None = None, overrides: Mapping[str, object] | None = None
    ) -> Config:
        """The configuration with these flags over it."""
        return configuration.load(
            self.config, to=self.to, tables=tables or [], overrides=overrides or {}
        )


@dataclass(frozen=True)
class Until:
    """When a tail ends: once caught up, after some seconds, or never."""

    follow: bool
    seconds: float | None

    @classmethod
    def of(cls, follow: bool, duration: str | None) -> "Until":
        """Reads --follow and --for."""
        if duration is None:
            return cls(follow, None)
        with leave_with():
            if follow:
                raise ConfigError("--follow and --for exclude each other.", "Give one of them.")
            match = _DURATION.fullmatch(duration)
            if not match:
                raise ConfigError(f"{duration} is no duration.", "Write 90s, 4m or 1h.")
            return cls(False, float(match[1]) * _SECONDS[match[2]])

    def condition(self) -> Callable[[Tail], bool]:
        """The condition, asked after each round."""
        if self.follow:
            return lambda tail: False
        if self.seconds is not None:
            deadline = time.monotonic() + self.seconds
            return lambda tail: time.monotonic() >= deadline
        return lambda tail: tail.caught_up()


@contextmanager
def _run(flags: Flags) -> Iterator[tuple[Printer, threading.Event]]:
    with leave_with(flags.quiet), stopped_by_signals() as stop:
        yield Printer(flags.output), stop


@contextmanager
def _opened(
    command: str,
    flags: Flags,
    config: Config,
    table: str,
    stop: threading.Event,
    processes: WorkerProcesses | None = None,
) -> Iterator[Run]:
    """A run of one table, with its progress shown as long as the block lasts."""
    with shown_progress(table, flags.quiet) as progress:
        pause = job.Stop(stop)
        yield job.open_run(
            config, table, progress=progress, stop=pause, command=command, processes=processes
        )


def sync(
    flags: Flags,
    tables: list[str],
    until: Until,
    scan: Mapping[str, object],
    processes: WorkerProcesses,
) -> None:
    """Syncs tables, side by side where they have to go on together."""
    with _run(flags) as (printer, stop):
        config = flags.load(tables, scan)
        names = tables or list(config.tables)
        if not names:
            raise ConfigError("There is no table to sync.", "Name one: `connector sync TABLE`.")

        def one(table: str) -> TableState:
            with _opened("sync", flags, config, table, stop, processes) as run:
                return run.sync(processes.closed_before(until.condition()))

        if len(names) == 1 or (not until.follow and until.seconds is None):
            states = [one(name) for name in names]
        else:
            states = _together(one, names, stop)
        _print_states(printer, config, states)


def _together(
    one: Callable[[str], TableState], names: list[str], stop: threading.Event
) -> list[TableState]:
    errors: list[BaseException] = []

    def guarded(name: str) -> TableState:
        try:
            return one(name)
        except BaseException as error:
            # One table that fails ends the run: nobody watches a run that is half dead.
            errors.append(error)
            stop.set()
            raise

    with ThreadPoolExecutor(len(names), "table") as threads:
        futures = [threads.submit(guarded, name) for name in names]
    if errors:
        # The first is why the others were asked to end.
        raise errors[0]
    return [future.result() for future in futures]


def _print_states(printer: Printer, config: Config, states: list[TableState]) -> None:
    rows = []
    for state in states:
        destination = job.open_destination(config, state.table)
        rows.append(state_row(state, destination.count(state.table)))
    printer.rows(rows)


def snapshot(
    flags: Flags,
    table: str,
    scan: Mapping[str, object],
    processes: WorkerProcesses,
    *,
    full_refresh: bool,
    yes: bool,
) -> None:
    """Plans, scans and loads one table."""
    with _run(flags) as (printer, stop):
        config = flags.load([table], scan)
        with _opened("snapshot", flags, config, table, stop, processes) as run:
            state = run.snapshot(full_refresh, yes)
        _print_states(printer, config, [state])


def tail(flags: Flags, table: str, until: Until) -> None:
    """Tails one table."""
    with _run(flags) as (printer, stop):
        config = flags.load([table])
        with _opened("tail", flags, config, table, stop) as run:
            state = run.tail(until.condition())
        _print_states(printer, config, [state])


def status(flags: Flags) -> None:
    """Shows what the destination knows of its tables."""
    with _run(flags) as (printer, _):
        config = flags.load()
        destination = job.open_destination(config)
        now = datetime.now(UTC)
        states = [destination.read(table) for table in destination.tables()]
        printer.rows(
            [status_row(state, destination.count(state.table), now) for state in states if state]
        )
        if not states and printer.output is Output.table:
            typer.echo("No table has been planned here yet: run `connector sync`.", err=True)


def check(flags: Flags, tables: list[str]) -> None:
    """Opens both sides and reads a page of each."""
    with _run(flags) as (printer, _):
        config = flags.load(tables)
        rows: list[dict[str, Any]] = [
            {"what": "destination", "result": job.open_destination(config).check()}
        ]
        names = tables or list(config.tables)
        errors: list[ConnectorError] = []
        for table in names:
            try:
                found = job.check_source(config, table)
            except ConnectorError as error:
                if len(names) == 1:
                    raise
                errors.append(error)
                found = f"failed: {error}"
            rows.append({"what": table, "result": found})
        printer.rows(rows)
        if errors:
            raise errors[0]


def verify(flags: Flags, table: str, segments: int) -> None:
    """Compares one table with its source."""
    with _run(flags) as (printer, stop):
        config = flags.load([table])
        with shown_progress(table, flags.quiet) as progress:
            run = job.open_run(
                config, table, progress=progress, stop=job.Stop(stop), command="verify"
            )
            state = run.destination.read(table)
            if state is None:
                raise ConfigError(
                    f"{table} was never synced here.", f"Run `connector sync {table}`."
                )
            verdict = compare(
                run.source,
                run.destination,
                state,
                segments=segments,
                tail=lambda: _discard(run.tail(lambda tail: tail.caught_up())),
                progress=progress,
            )
        _report(printer, table, verdict)


def _discard(state: TableState) -> None:
    log.debug("tailed %s to commit %d", state.table, state.commit)


def _report(printer: Printer, table: str, verdict: Verdict) -> None:
    found = as_dict(verdict)
    if printer.output is Output.json:
        printer.json({"table": table, "equal": verdict.equal, **found})
    else:
        printer.rows(
            [{"result": "matching", "count": verdict.matching, "keys": ""}]
            + [
                {
                    "result": name,
                    "count": found[name]["count"],
                    "keys": " ".join(found[name]["keys"]),
                }
                for name in ("missing", "extra", "different", "unsettled")
            ]
        )
    if not verdict.equal:
        raise Mismatch(
            f"{table} differs from its source.",
            "Run `connector verify` again; if it stays, "
            f"`connector snapshot {table} --full-refresh`.",
        )
    if verdict.unsettled.count:
        raise Transient(
            f"{verdict.unsettled.count} keys changed too often to be compared.",
            "Everything else is equal; run `connector verify` again.",
        )


def query(flags: Flags, sql: str) -> None:
    """Runs one read-only query."""
    with _run(flags) as (printer, _):
        printer.arrow(job.open_destination(flags.load()).query(sql))


def reset(flags: Flags, table: str, drop: bool, yes: bool) -> None:
    """Forgets a table's state."""
    with _run(flags) as (printer, _):
        config = flags.load([table])
        destination = job.open_destination(config, table)
        state = destination.read(table)
        if state is None:
            raise ConfigError(f"{table} has no state here.", "There is nothing to reset.")
        if not yes and not sys.stdin.isatty():
            raise ConfigError(
                "A reset asks first, and there is no terminal to answer on.", "Give --yes."
            )
        if not yes:
            what = "state and its rows" if drop else "state"
            if not typer.confirm(f"Forget the {what} of {table}?", err=True):
                raise ConfigError("Nothing was changed.", "Answer y, or give --yes.")
        job.drop_spool(config, state)
        destination.reset(table, drop)
        printer.rows([{"table": table, "reset": True, "dropped": drop}])


def demo(file: Path | None) -> None:
    """Runs the demonstration."""
    with leave_with(quiet=True):
        from connector.demo import run_demo

        run_demo(file)
