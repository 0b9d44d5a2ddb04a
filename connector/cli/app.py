"""The root of the command line: the list of commands, and how the process ends."""

import os
from typing import Annotated, cast

import typer

from connector import __version__
from connector.cli.check import check
from connector.cli.demo import demo
from connector.cli.failover import failover
from connector.cli.query import query
from connector.cli.rescue.repair import repair
from connector.cli.rescue.reset import reset
from connector.cli.runs.completion import rejoin
from connector.cli.runs.leaving import misused, report
from connector.cli.schema.diff import diff
from connector.cli.schema.infer import infer
from connector.cli.screen import streams
from connector.cli.snapshot import snapshot
from connector.cli.status import status
from connector.cli.sync import sync
from connector.cli.tail import tail
from connector.cli.verify import verify
from connector.errors import Interrupted
from connector.pipeline.interpreter import collect_seldom

app = typer.Typer(
    name="connector",
    help="Keeps a warehouse table equal to an Amazon DynamoDB table, and can prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_MISUSED = cast(type[typer.BadParameter], typer.BadParameter.__base__)
"""Any mistake on a command line; Typer has no public name for it."""


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


schema = typer.Typer(
    name="schema",
    help="Write down what a table's columns are, or compare them with what is declared.",
    no_args_is_help=True,
)
schema.command()(infer)
schema.command()(diff)
app.add_typer(schema)

for verb in (sync, snapshot, tail, status, check, verify, failover, repair, query, reset, demo):
    app.command()(verb)


def run(arguments: list[str] | None = None) -> int:
    """Runs a command line, by default that of this process, and returns its exit code."""
    try:
        return app(arguments, standalone_mode=False) or 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except _MISUSED as error:
        return misused(error)
    except typer.Abort:
        return Interrupted.exit_code
    except Exception as error:
        # Raised by Typer itself, for example if completion cannot be installed in the home folder.
        return report(error)


def main() -> None:
    """Runs the command line and ends the process."""
    # Before any file is opened: it could take the place of a standard stream that is closed.
    streams.secure()
    collect_seldom()
    rejoin(os.environ)
    code = run()
    # Everything is committed and closed by now. An orderly shutdown of the interpreter would only
    # keep a shell or a scheduler waiting for another fifth of a second.
    os._exit(streams.ended(code))
