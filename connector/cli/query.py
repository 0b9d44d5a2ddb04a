"""`connector query`: runs a read-only query on the destination."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from connector.cli.runs.flags import ConfigFile, Flags, Format, Output, Quietly, To
from connector.cli.runs.leaving import leave_with
from connector.cli.runs.running import command
from connector.config.text import decoded, read_text
from connector.errors import ConfigError

_STDIN = "-"
_GIVE_ONE = 'Give one that reads: `connector query "select …"`, or `connector query --file FILE`.'


def query(
    sql: Annotated[
        str | None,
        typer.Argument(help="A SQL statement that reads; - or none: read it from standard input."),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("--file", "-f", help="A file that holds the statement.", metavar="FILE"),
    ] = None,
    config: ConfigFile = None,
    to: To = None,
    output: Format = Output.table,
    quiet: Quietly = False,
) -> None:
    """Run a read-only query on the destination."""
    flags = Flags(config, to, output, quiet)
    # Ctrl-C while the statement is being typed ends the program at once.
    with leave_with(quiet):
        statement = _statement(sql, file)
    with command(flags) as (printer, _):
        from connector import job

        printer.arrow(job.open_destination(flags.load()).query(statement))


def _statement(sql: str | None, file: str | None) -> str:
    if sql is not None and file is not None:
        raise ConfigError("A statement and --file exclude each other.", "Give one of them.")
    if file == "":
        raise ConfigError("--file names no file.", "Name one, or - for standard input.")
    if sql is not None and sql != _STDIN:
        place, text = "on the command line", _of_the_command_line(sql)
    elif file is not None and file != _STDIN:
        place, text = f"in {file}", _of_the_file(Path(file))
    else:
        place, text = "on standard input", _of_stdin(asked=_STDIN in (sql, file))
    if not text.strip():
        raise ConfigError(f"There is no statement {place}.", _GIVE_ONE)
    return text


def _of_the_file(path: Path) -> str:
    try:
        return read_text(path)
    except FileNotFoundError:
        raise ConfigError(f"There is no file {path}.", "Name another with --file.") from None


def _of_the_command_line(sql: str) -> str:
    # Terminals and scripts send UTF-8, whatever the locale says.
    return decoded(os.fsencode(sql), "The statement")


def _of_stdin(asked: bool) -> str:
    if not asked and sys.stdin.isatty():
        raise ConfigError("There is no statement.", _GIVE_ONE)
    return decoded(sys.stdin.buffer.read(), "Standard input")
