"""`connector demo`: the demonstration that `make demo` runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.runs.flags import Flags, Output
from connector.cli.runs.leaving import leave_with
from connector.cli.runs.running import Work
from connector.stop import Stop

if TYPE_CHECKING:
    from connector.config.model import Config


def demo(
    keep: Annotated[
        Path | None, typer.Option("--file", help="The DuckDB file to create.", metavar="FILE")
    ] = None,
) -> None:
    """Walk a made-up table through its whole life on this machine: no account, no network."""
    with leave_with(quiet=True):
        from connector.demo.story import run_demo

        run_demo(keep, _run)


def _run(config: "Config", verb: str, subject: str) -> None:
    """What `connector VERB SUBJECT --quiet` does once it has read its configuration."""
    from connector import job
    from connector.cli.runs.results import print_states
    from connector.cli.screen.output import Printer
    from connector.cli.verify import print_verdicts

    printer = Printer(Output.table)
    if verb == "query":
        printer.arrow(job.open_destination(config).query(subject))
        return
    flags = Flags(None, None, Output.table, quiet=True)
    work = Work(verb, flags, config, [subject], Stop.never(), jobs=1)
    if verb == "sync":
        print_states(printer, work, work.outcomes(lambda run, ended: run.sync(ended)))
    else:
        print_verdicts(printer, work)
