"""What a command reports at its end: a row for each table, the errors, and the exit code."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from connector.core.state import Phase, Ran, TableState
from connector.core.words import lasting
from connector.errors import ConnectorError, Interrupted
from connector.pipeline.side_by_side import Outcome, Result, gravest, listed
from connector.stop import MACHINE

if TYPE_CHECKING:
    from connector.cli.runs.running import Work
    from connector.cli.screen.output import Printer
    from connector.config.model import Config

Found = TypeVar("Found")

LOOK_SECONDS = 1.0
RARE = ("new_columns", "widened_columns")
"""Counts that a terminal shows only if there are any."""


def leave(outcomes: Sequence[Outcome[Any]], cut_short: bool = False) -> None:
    """Prints each distinct error once and exits with the gravest exit code."""
    errors = [(each.table, each.error) for each in outcomes if each.error]
    if cut_short:
        errors.append(("", Interrupted("The run was asked to end.")))
    for (kind, message, hint), tables in _grouped(errors).items():
        about = "" if kind == "Interrupted" else f"{listed(tables)}: "
        # Some messages already begin with their table, for a run of a single table.
        typer.echo(f"{kind}: {about}{message.removeprefix(about)}", err=True)
        if hint:
            typer.echo(f"Hint: {hint}", err=True)
    if code := gravest(error.exit_code for _, error in errors):
        raise typer.Exit(code)


def _grouped(
    errors: Iterable[tuple[str, ConnectorError]],
) -> dict[tuple[str, str, str], list[str]]:
    """The tables of each distinct error."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for table, error in errors:
        if isinstance(error, Interrupted):
            said = "Interrupted", "The run was asked to end.", "The same command resumes from here."
        else:
            said = "Error", error.message, error.hint
        found.setdefault(said, []).append(table)
    return found


def print_states(printer: "Printer", work: "Work", outcomes: Sequence[Outcome[TableState]]) -> None:
    """Prints where each table stands after a run, and what went wrong."""
    asked = not any(map(_unusable, outcomes))
    hurried = work.stop.requested() or any(map(_held, outcomes))
    config = _impatient(work.config) if hurried else work.config
    rows, ends = [], []
    for outcome in outcomes:
        standing, end = Standing(outcome.found), outcome
        try:
            if asked:
                standing = _standing(work, config, outcome)
        except ConnectorError as error:
            if not work.several and outcome.error is None:
                raise
            asked = not error.of_every_table
            if outcome.error is None:
                end = replace(outcome, result=Result.FAILED, error=error)
        rows.append(state_row(end, work, standing))
        ends.append(end)
        if work.stop.requested():
            typer.echo(f"{outcome.table}: {became(end, standing.state)}", err=True)
    if printer.for_people:
        printer.rows(without_empty(list(map(brief_result, rows)), *RARE))
    else:
        printer.rows(rows)
    leave(ends, work.cut_short)


def _unusable(outcome: Outcome[TableState]) -> bool:
    """Whether the destination could not be used at all."""
    return outcome.result is Result.NOT_TRIED and not isinstance(outcome.error, Interrupted)


def _held(outcome: Outcome[TableState]) -> bool:
    """Whether the run gave up waiting for something that all tables share."""
    return outcome.error is not None and outcome.error.of_every_table


def _impatient(config: "Config") -> "Config":
    """The configuration for one last look that does not wait long."""
    destination = config.destination.model_copy(update={"lock_timeout": LOOK_SECONDS})
    return config.model_copy(update={"destination": destination})


def became(outcome: Outcome[Any], state: TableState | None) -> str:
    """Where a table stands after Ctrl-C."""
    from connector import job

    if outcome.result is Result.NOT_TRIED:
        return "was not started"
    if state is None:
        return "nothing is known to be committed"
    done = f"committed up to {state.commit}"
    status = job.status(state, MACHINE.now())
    if outcome.error and not isinstance(outcome.error, Interrupted):
        return f"had failed; {done}"
    if state.phase is Phase.LOADING:
        by = " by the stream" if status.age is None else ""
        return f"asked to end while scanning: the same command resumes; {done}{by}"
    if status.age is not None:
        return f"{done}, read {lasting(status.age)} ago"
    since = state.consistent_since
    consistent = f"consistent since {since:%Y-%m-%d %H:%M:%S %Z}" if since else "not consistent yet"
    lag = status.lag_seconds
    return f"{done}, {consistent}" + ("" if lag is None else f", lag {lasting(lag)}")


@dataclass(frozen=True)
class Standing:
    """Where a table stands after a run, and what the run did; None if that could not be read."""

    state: TableState | None
    rows: int | None = None
    ran: Ran | None = None


def _standing(work: "Work", config: "Config", outcome: Outcome[TableState]) -> Standing:
    from connector import job

    table, tried = outcome.table, work.tried.get(outcome.table)
    destination = job.open_destination(config, table)
    with destination.reading():
        state = outcome.found or destination.read(table)
        ran = tried.destination.ran(table) if tried else None
        # Counting may take long, and whoever asked the run to end should not wait for it.
        counted = state is not None and not work.stop.requested()
        return Standing(state, destination.count(table) if counted else None, ran)


def state_row(outcome: Outcome[Any], work: "Work", standing: Standing) -> dict[str, Any]:
    """The result row of a table: where it stands, and what the run itself did."""
    from connector import job

    state, ran, tried = standing.state, standing.ran, work.tried.get(outcome.table)
    return {
        "table": outcome.table,
        "into": state.into if state else ", ".join(work.config.targets(outcome.table)),
        "phase": job.status(state, MACHINE.now()).phase if state else None,
        "rows": standing.rows,
        "quarantined": state.quarantined if state else None,
        "consistent_since": state.consistent_since if state else None,
        "written": ran.written if ran else None,
        "deleted": ran.deleted if ran else None,
        "newly_quarantined": ran.quarantined if ran else None,
        "new_columns": ran.new_columns if ran else None,
        "widened_columns": ran.widened_columns if ran else None,
        "commits": ran.commits if ran else None,
        "seconds": tried.seconds if tried else None,
        **({"region": state.identity.region} if state and work.region else {}),
        **result_columns(outcome),
    }


def brief_result(row: Mapping[str, Any]) -> dict[str, Any]:
    """A result row for a terminal, which shows the error below it anyway."""
    quarantined = None if row["quarantined"] is None else f"{row['quarantined']:,}"
    if row["newly_quarantined"]:
        quarantined = f"{quarantined} ({row['newly_quarantined']:,} new)"
    counts = {
        name: None if row[name] is None else f"{row[name]:,}"
        for name in ("rows", "written", "deleted")
    }
    return {
        "table": row["table"],
        "phase": row["phase"],
        **counts,
        **{name: f"{row[name]:,}" if row[name] else None for name in RARE},
        "quarantined": quarantined,
        "seconds": row["seconds"],
        "result": row["result"],
    }


def without_empty(rows: Sequence[Mapping[str, Any]], *names: str) -> list[Mapping[str, Any]]:
    """The rows, without those columns of `names` that are empty in all of them."""
    empty = {name for name in names if all(row[name] is None for row in rows)}
    return [{key: value for key, value in row.items() if key not in empty} for row in rows]


def result_columns(outcome: Outcome[Any]) -> dict[str, Any]:
    """How a run ended for a table, and why."""
    error = None if outcome.result is Result.OK else outcome.error
    return {"result": outcome.result.value, "error": error.message if error else None}
