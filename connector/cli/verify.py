"""`connector verify`: compares every item of the source with its row."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from connector.cli.runs.flags import (
    JOBS,
    ConfigFile,
    Flags,
    Format,
    Jobs,
    Output,
    Quietly,
    Segments,
    Tables,
    To,
)
from connector.cli.runs.running import Work, chosen, command
from connector.core.words import counted
from connector.errors import ConfigError, ConnectorError, Mismatch, Transient
from connector.pipeline.side_by_side import Outcome, Result

if TYPE_CHECKING:
    from connector.cli.screen.output import Printer
    from connector.core.state import TableState
    from connector.pipeline.following.tail import Tail
    from connector.pipeline.sync import Run
    from connector.pipeline.verify import Verdict

log = logging.getLogger("connector.cli")

_SEGMENTS = 4
_KINDS = ("missing", "extra", "different", "unsettled")


def verify(
    tables: Tables = None,
    config: ConfigFile = None,
    to: To = None,
    segments: Segments = None,
    jobs: Jobs = JOBS,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Compare every item of the source with its row; exit with code 3 if any differ."""
    flags = Flags(config, to, output, quiet)
    with command(flags) as (printer, stop):
        settings = flags.load(tables or [])
        work = Work("verify", flags, settings, chosen(tables, settings, "verify"), stop, jobs)
        print_verdicts(printer, work, segments or _SEGMENTS)


def print_verdicts(printer: "Printer", work: Work, segments: int = _SEGMENTS) -> None:
    """Compares the tables and prints the result. Raises Mismatch if a single table differs."""
    outcomes = work.outcomes(_comparison(segments))
    if work.several:
        _report_all(printer, [_judged(outcome) for outcome in outcomes])
        return
    (outcome,) = outcomes
    if outcome.error:
        raise outcome.error
    assert outcome.found
    _report(printer, outcome.table, outcome.found)


def _comparison(segments: int) -> "Callable[[Run, Callable[[Tail], bool]], Verdict]":
    from connector.pipeline.verify import verify as compare

    def compared(run: "Run", ended: "Callable[[Tail], bool]") -> "Verdict":
        state = run.destination.read(run.table)
        if state is None:
            raise ConfigError(
                f"{run.table} was never synced here.", f"Run `connector sync {run.table}`."
            )
        return compare(
            run.pages,
            run.lookup,
            run.destination,
            state,
            segments=segments,
            tail=lambda: _discard(run.up_to_date(ended)),
            listener=run.listener,
        )

    return compared


def _discard(state: "TableState") -> None:
    log.debug("tailed %s to commit %d", state.table, state.commit)


def _problem(table: str, verdict: "Verdict") -> ConnectorError | None:
    """What this verdict says is wrong with the table."""
    if not verdict.equal:
        return Mismatch(
            f"{table} differs from its source.",
            "Run `connector verify` again; if the difference remains, run "
            f"`connector snapshot {table} --full-refresh`.",
        )
    if verdict.unsettled.count:
        return Transient(
            f"{counted(verdict.unsettled.count, 'key')} changed too often to be compared.",
            "Everything else is equal; run `connector verify` again.",
        )
    return None


def _judged(outcome: "Outcome[Verdict]") -> "Outcome[Verdict]":
    problem = _problem(outcome.table, outcome.found) if outcome.found else None
    return replace(outcome, result=Result.FAILED, error=problem) if problem else outcome


def _report_all(printer: "Printer", outcomes: "Sequence[Outcome[Verdict]]") -> None:
    from connector.cli.runs.results import leave

    row = _document if printer.output is Output.json else _row
    printer.rows([row(outcome) for outcome in outcomes])
    leave(outcomes)


def _document(outcome: "Outcome[Verdict]") -> dict[str, Any]:
    """A table among several, as JSON: as for a single table, plus its outcome."""
    from connector.cli.runs.results import result_columns
    from connector.pipeline.verify import as_dict

    verdict = outcome.found
    found = as_dict(verdict) if verdict else dict.fromkeys(("matching", *_KINDS))
    equal = verdict.equal if verdict else None
    return {"table": outcome.table, "equal": equal, **found, **result_columns(outcome)}


def _row(outcome: "Outcome[Verdict]") -> dict[str, Any]:
    """A table among several, as a row: counts, and the first keys of each difference."""
    found = _document(outcome)
    differing = [kind for kind in _KINDS if found[kind] and found[kind]["count"]]
    return {
        "table": outcome.table,
        "matching": found["matching"],
        **{kind: found[kind] and found[kind]["count"] for kind in _KINDS},
        "keys": "; ".join(f"{kind}: {' '.join(found[kind]['keys'])}" for kind in differing),
        "result": found["result"],
        "error": found["error"],
    }


def _report(printer: "Printer", table: str, verdict: "Verdict") -> None:
    from connector.pipeline.verify import as_dict

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
                for name in _KINDS
            ]
        )
    if problem := _problem(table, verdict):
        raise problem
