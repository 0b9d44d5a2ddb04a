"""`connector demo`: what `make demo` runs."""

from pathlib import Path
from typing import Annotated

import typer

from connector.cli.leaving import leave_with


def demo(
    keep: Annotated[
        Path | None, typer.Option("--file", help="The DuckDB file to make.", metavar="FILE")
    ] = None,
) -> None:
    """Show the whole life of a table on this machine alone: no account, no network."""
    with leave_with(quiet=True):
        from connector.demo import run_demo

        run_demo(keep)
