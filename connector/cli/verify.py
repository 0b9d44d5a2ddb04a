"""`connector verify`: compares every item of the source with its row."""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connector.cli.runs.flags import (
    JOBS,
    ConfigFile,
    Flags,
    Format,
    JobsOnce,
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
    from datetime import datetime

    from connector.cli.screen.output import Printer
    from connector.core.state import TableState
    from connector.pipeline.following.tail import Tail
    from connector.pipeline.sync import Run
    from connector.pipeline.verify import Verdict
    from connector.ports import Lookup, Snapshot

log = logging.getLogger("connector.cli")

_SEGMENTS = 4
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?%")
_KINDS = ("missing", "extra", "different", "unsettled")


def verify(
    tables: Tables = None,
    config: ConfigFile = None,
    to: To = None,
    segments: Segments = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Write what the source has where a row differs.")
    ] = False,
    sample: Annotated[
        str | None,
        typer.Option("--sample", help="Compare only a share, such as 1%.", metavar="PERCENT"),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            "--region", help="Compare with the replica in another Region.", metavar="REGION"
        ),
    ] = None,
    jobs: JobsOnce = JOBS,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Compare every item of the source with its row; exit with code 3 if any differ."""
    flags = Flags(config, to, output, quiet)
    with command(flags) as (printer, stop):
        share = None if sample is None else share_of(sample)
        if repair and region is not None:
            raise ConfigError(
                "--repair and --region exclude each other: a row is what its own source has.",
                "Give one of them; `connector failover` goes on in another Region.",
            )
        settings = flags.load(tables or [])
        work = Work("verify", flags, settings, chosen(tables, settings, "verify"), stop, jobs)
        with work.publishing():
            print_verdicts(printer, work, segments or _SEGMENTS, repair, share, region)


def print_verdicts(
    printer: "Printer",
    work: Work,
    segments: int = _SEGMENTS,
    repair: bool = False,
    share: float | None = None,
    region: str | None = None,
) -> None:
    """Compares the tables and prints the result. Raises Mismatch if a single table differs."""
    outcomes = work.outcomes(_comparison(segments, repair, share, region))
    if work.several:
        _report_all(printer, [_judged(outcome) for outcome in outcomes])
        return
    (outcome,) = outcomes
    if outcome.error:
        raise outcome.error
    assert outcome.found
    _report(printer, outcome.table, outcome.found)


def share_of(percent: str) -> float:
    """The share that a text such as `1%` stands for. Raises ConfigError if it stands for none."""
    match = _PERCENT.fullmatch(percent)
    share = float(match[1]) / 100 if match else 0.0
    if not 0 < share <= 1:
        raise ConfigError(
            f"{percent} is no share of a table.",
            "Write it as --sample 1%: more than 0% and at most 100%.",
        )
    return share


def _comparison(
    segments: int, repair: bool, share: float | None, region: str | None
) -> "Callable[[Run, Callable[[Tail], bool]], Verdict]":
    from connector.pipeline.comparing.sample import Sample
    from connector.pipeline.following.failover import REPLICATION_SECONDS
    from connector.pipeline.repair import Repair, refuse_loading
    from connector.pipeline.verify import verify as compare

    def compared(run: "Run", ended: "Callable[[Tail], bool]") -> "Verdict":
        state = run.destination.read(run.table)
        if state is None:
            raise ConfigError(
                f"{run.table} was never synced here.", f"Run `connector sync {run.table}`."
            )
        if repair:
            refuse_loading(state)
        limit = run.config.quarantine.limit
        repairs = Repair(run.lookup, run.destination, run.encoder(state), limit, run.by_time)
        pages, lookup = run.pages, run.lookup
        delays: Sequence[float] = ()
        if region is not None and region != state.identity.region:
            pages, lookup = _there(run, state, region)
            delays = REPLICATION_SECONDS
        verdict = compare(
            pages,
            lookup,
            run.destination,
            state,
            segments=segments,
            tail=lambda: _discard(run.up_to_date(ended)),
            listener=run.listener,
            sample=None if share is None else Sample(share),
            repair=partial(repairs.run, state) if repair else None,
            waits=[partial(run.stop.sleep, seconds) for seconds in delays],
            ruling=run.ruling(state),
        )
        return replace(verdict, region=region, as_of=_as_of(run))

    return compared


def _as_of(run: "Run") -> "datetime | None":
    """Up to when its source's changes are there, if they only come now and then."""
    from connector.core.changes.shards import read_through

    if run.changes is None or run.changes.while_loading:
        return None
    state = run.destination.read(run.table)
    return read_through(state.shards) if state else None


def _there(run: "Run", state: "TableState", region: str) -> "tuple[Snapshot, Lookup]":
    """The table's replica in another Region. Raises SourceRefused if there is none."""
    from connector import job
    from connector.pipeline.following.failover import refuse

    way = job.open_replica(run.config, run.table, region, run.stop)
    refuse(run.table, state, way.lookup.describe(), region)
    return way.pages, way.lookup


def _discard(state: "TableState") -> None:
    log.debug("tailed %s to commit %d", state.table, state.commit)


def _problem(table: str, verdict: "Verdict") -> ConnectorError | None:
    """What this verdict says is wrong with the table."""
    if not verdict.equal and verdict.region is not None:
        return Mismatch(
            f"{table} differs from its replica in {verdict.region}.",
            f"What that lacks may never have arrived there. `connector failover {table} --region "
            f"{verdict.region}` would make them equal, by what is there.",
        )
    if not verdict.equal and verdict.as_of is not None:
        return Mismatch(
            f"{table} differs from its source as it is now; its rows are as of "
            f"{verdict.as_of.isoformat(timespec='seconds')}, when the last export ends.",
            f"Run `connector verify {table}` again once a later export is complete; if the "
            f"difference remains, `connector verify {table} --repair` writes what the source has.",
        )
    if not verdict.equal and verdict.repaired is not None:
        return Mismatch(
            f"{table} still differs from its source, after what can be repaired was.",
            '`connector query "select key, reason from _connector.quarantine"` shows what cannot '
            f"be stored, and why; once it is mended at the source, run `connector verify {table} "
            "--repair` again.",
        )
    if not verdict.equal:
        return Mismatch(
            f"{table} differs from its source.",
            f"Run `connector verify {table}` again; if the difference remains, "
            f"`connector verify {table} --repair` writes what the source has.",
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
        **_extra(found),
        "keys": "; ".join(f"{kind}: {' '.join(found[kind]['keys'])}" for kind in differing),
        "result": found["result"],
        "error": found["error"],
    }


def _extra(found: dict[str, Any]) -> dict[str, Any]:
    """What a comparison says only if it was asked for."""
    extra: dict[str, Any] = {}
    if "repaired" in found:
        extra["repaired"] = found["repaired"]["count"]
    if "sample" in found:
        extra["compared"] = found["sample"]["keys"]
    return extra


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
                for name in (*_KINDS, *(name for name in ("repaired",) if name in found))
            ]
            + [
                {"result": "compared", "count": sample["keys"], "keys": f"{sample['share']:.2%}"}
                for sample in (found.get("sample"),)
                if sample
            ]
            + [
                {"result": f"{kind} in {target}", "count": count, "keys": ""}
                for target, each in found.get("targets", {}).items()
                for kind, count in each.items()
                if count or kind == "matching"
            ]
        )
    if problem := _problem(table, verdict):
        raise problem
