"""The command line: flags to a configuration, results to stdout, everything else to stderr."""

import os
import sys
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from connector import __version__

app = typer.Typer(
    name="connector",
    help="Keeps a warehouse table equal to an Amazon DynamoDB table, and can prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Output(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"


ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The configuration; without it, ./connector.yaml if any."),
]
To = Annotated[
    str | None,
    typer.Option("--to", help="The destination, such as duckdb:///wh.duckdb.", metavar="URL"),
]
Quietly = Annotated[
    bool, typer.Option("--quiet", "-q", help="Show no progress, and of the log only warnings.")
]
Format = Annotated[Output, typer.Option("--output", "-o", help="Print results as table or JSON.")]
OneTable = Annotated[str, typer.Argument(help="The table's name or ARN in DynamoDB.")]
Tables = Annotated[
    list[str] | None, typer.Argument(help="Tables; without any, all that are configured.")
]
Follow = Annotated[bool, typer.Option("--follow", help="Go on until interrupted.")]
For = Annotated[
    str | None,
    typer.Option("--for", help="Go on for so long, such as 90s, 4m or 1h.", metavar="DURATION"),
]
Segments = Annotated[
    int | None, typer.Option(min=1, max=1_000_000, help="Parts to divide the scan into.")
]
Workers = Annotated[int | None, typer.Option(min=1, max=64, help="Segments to scan at once.")]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"connector {__version__}")
        raise typer.Exit


@app.callback()
def connector(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Keeps a warehouse table equal to an Amazon DynamoDB table, and can prove it."""


@app.command()
def sync(
    tables: Tables = None,
    config: ConfigFile = None,
    to: To = None,
    follow: Follow = False,
    duration: For = None,
    segments: Segments = None,
    workers: Workers = None,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Bring tables up to date: the first time a snapshot, then the changes since."""
    from connector.worker_processes import forked_workers

    with forked_workers(workers or 0, segments) as processes:
        from connector import cli_commands as commands

        flags = commands.Flags(config, to, output, quiet)
        scan = {"scan.segments": segments, "scan.workers": workers}
        until = commands.Until.of(follow, duration)
        commands.sync(flags, tables or [], until, scan, processes)


@app.command()
def snapshot(
    table: OneTable,
    config: ConfigFile = None,
    to: To = None,
    segments: Segments = None,
    workers: Workers = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Read the whole table again.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Let a refresh delete any number of rows.")
    ] = False,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Read a whole table once and load it; changes made meanwhile are drained as well."""
    from connector.worker_processes import forked_workers, usual_workers

    with forked_workers(workers or usual_workers(), segments) as processes:
        from connector import cli_commands as commands

        flags = commands.Flags(config, to, output, quiet)
        scan = {"scan.segments": segments, "scan.workers": workers}
        commands.snapshot(flags, table, scan, processes, full_refresh=full_refresh, yes=yes)


@app.command()
def tail(
    table: OneTable,
    config: ConfigFile = None,
    to: To = None,
    follow: Follow = False,
    duration: For = None,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Read a table's changes until caught up, for a time, or for ever."""
    from connector import cli_commands as commands

    flags = commands.Flags(config, to, output, quiet)
    commands.tail(flags, table, commands.Until.of(follow, duration))


@app.command()
def status(
    config: ConfigFile = None,
    to: To = None,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Show where each table stands."""
    from connector import cli_commands as commands

    commands.status(commands.Flags(config, to, output, quiet))


@app.command()
def check(
    tables: Tables = None,
    config: ConfigFile = None,
    to: To = None,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Try everything a run needs, and change nothing."""
    from connector import cli_commands as commands

    commands.check(commands.Flags(config, to, output, quiet), tables or [])


@app.command()
def verify(
    table: OneTable,
    config: ConfigFile = None,
    to: To = None,
    segments: Segments = None,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Compare every item of the source with the table; leaves with 3 where they differ."""
    from connector import cli_commands as commands

    commands.verify(commands.Flags(config, to, output, quiet), table, segments or 4)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="A statement that reads.")],
    config: ConfigFile = None,
    to: To = None,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Run a query on the destination, read only."""
    from connector import cli_commands as commands

    commands.query(commands.Flags(config, to, output, quiet), sql)


@app.command()
def reset(
    table: OneTable,
    config: ConfigFile = None,
    to: To = None,
    drop: Annotated[bool, typer.Option("--drop", help="Drop the table's rows as well.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Forget how far a table was read; the next sync reads it from the beginning."""
    from connector import cli_commands as commands

    commands.reset(commands.Flags(config, to, output, quiet), table, drop, yes)


@app.command()
def demo(
    keep: Annotated[
        Path | None, typer.Option("--file", help="The DuckDB file to make.", metavar="FILE")
    ] = None,
) -> None:
    """Show the whole life of a table on this machine alone: no account, no network."""
    from connector import cli_commands as commands

    commands.demo(keep)


def main() -> None:
    """Runs the command line and ends the process."""
    try:
        app()
    except SystemExit as end:
        # Everything is committed and closed by now. To take the interpreter apart, piece by piece,
        # would only let a shell or a scheduler wait for another fifth of a second.
        # A stream is None where the caller closed it.
        for stream in filter(None, (sys.stdout, sys.stderr)):
            # Whoever read it may have gone; there is nobody to tell.
            with suppress(BrokenPipeError):
                stream.flush()
        os._exit(end.code if isinstance(end.code, int) else bool(end.code))


if __name__ == "__main__":
    # As __main__ this module is a second copy, whose Output is not the one that others compare to.
    from connector.cli import main as start

    start()
