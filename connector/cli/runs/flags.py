"""The flags that commands share, and what they mean."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.runs import completion
from connector.cli.runs.leaving import leave_with
from connector.errors import ConfigError, ConnectorError, NotListed
from connector.stop import MACHINE, Clock

if TYPE_CHECKING:
    from connector.config.model import Config
    from connector.pipeline.following.tail import Tail


class Output(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="The configuration file; by default the one that CONNECTOR_CONFIG names, else "
        "./connector.yaml or ./connector.yml.",
    ),
]
To = Annotated[
    str | None,
    typer.Option("--to", help="The destination, e.g. duckdb:///wh.duckdb.", metavar="URL"),
]
Quietly = Annotated[
    bool, typer.Option("--quiet", "-q", help="Show no progress, and log only warnings.")
]
Format = Annotated[
    Output, typer.Option("--output", "-o", help="Print results as a table or as JSON.")
]
OneTable = Annotated[
    str,
    typer.Argument(help="The table's name or ARN in DynamoDB.", autocompletion=completion.tables),
]
Tables = Annotated[
    list[str] | None,
    typer.Argument(
        help="Tables, by name or ARN; by default all that are configured.",
        autocompletion=completion.tables,
    ),
]
Region = Annotated[
    str, typer.Option("--region", help="The Region of the replica.", metavar="REGION")
]
Follow = Annotated[bool, typer.Option("--follow", help="Keep running until interrupted.")]
For = Annotated[
    str | None,
    typer.Option(
        "--for", help="Keep running for this long, e.g. 90s, 4m or 1h.", metavar="DURATION"
    ),
]
Segments = Annotated[
    int | None, typer.Option(min=1, max=1_000_000, help="Parts to divide the scan into.")
]
Jobs = Annotated[
    int,
    typer.Option(
        min=1,
        help="Tables to work on at once; with --follow or --for, all of them are.",
        metavar="N",
    ),
]
JobsOnce = Annotated[
    int, typer.Option("--jobs", min=1, help="Tables to work on at once.", metavar="N")
]
JOBS = 4
Workers = Annotated[int | None, typer.Option(min=1, max=64, help="Segments to scan at once.")]
Export = Annotated[
    str | None,
    typer.Option(
        "--export",
        help="Read an export to S3 instead: the folder of its manifests, in s3:// or file://.",
        metavar="URL",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds_of(duration: str) -> float:
    """The seconds in a duration such as 90s or 4m. Raises ConfigError if it is not a duration."""
    match = _DURATION.fullmatch(duration)
    if not match:
        raise ConfigError(f"{duration} is not a duration.", "Write 90s, 4m or 1h, for example.")
    return float(match[1]) * _SECONDS[match[2]]


_LOOK_ONLY = {"destination.lock_timeout": 1.0}


@dataclass(frozen=True)
class Flags:
    """What every command takes."""

    config: Path | None
    to: str | None
    output: Output
    quiet: bool

    def load(
        self, tables: Sequence[str] = (), overrides: Mapping[str, object] | None = None
    ) -> "Config":
        """The configuration, overridden by these flags.

        Raises NotListed if the file lists tables and one of `tables` is not among them.
        """
        from connector.config import loading as configuration

        try:
            return configuration.load(
                self.config, to=self.to, tables=tables, overrides=overrides or {}
            )
        except NotListed as error:
            raise self._explained(error, tables) from error

    def strangers(self) -> list[Path]:
        """Files of tables beside the configuration that are of no table that it lists."""
        from connector.config.layers import listed_tables
        from connector.config.place import find_file
        from connector.config.tables.files import strangers

        file = self.config or find_file(os.environ)
        # What a pipe says can be read only once.
        listed = listed_tables(self.config, os.environ) if file and file.is_file() else []
        return strangers(file, listed) if listed else []

    def _explained(self, error: NotListed, tables: Sequence[str]) -> NotListed:
        """The same error, with a better hint if the table still has a state."""
        from connector import job
        from connector.config import loading as configuration

        try:
            config = configuration.load(self.config, to=self.to, overrides=_LOOK_ONLY)
            known = job.open_destination(config).tables()
        except ConnectorError:
            # The file may be held, or not be a destination: the original error is returned.
            return error
        table = next((table for table in tables if table not in config.tables), "")
        if table not in known:
            return error
        return NotListed(
            error.message,
            f"It still has a state here from when it was listed. List it again, or forget it: "
            f"`connector reset {table}`.",
        )


@dataclass(frozen=True)
class Until:
    """When a tail ends: once caught up, after `seconds`, or never."""

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
            return cls(False, seconds_of(duration))

    @property
    def lasts(self) -> bool:
        """Whether the run keeps going once everything is read."""
        return self.follow or self.seconds is not None

    def begin(self, clock: Clock = MACHINE) -> "Ending":
        """The ending of a run that begins now."""
        deadline = None if self.seconds is None else clock.monotonic() + self.seconds
        return Ending(self.lasts, deadline, clock)


@dataclass(frozen=True)
class Ending:
    """When a run ends, for all of its tables; `deadline` is a time of the monotonic clock."""

    lasts: bool
    deadline: float | None
    clock: Clock = MACHINE

    def over(self) -> bool:
        """Whether the run's time is up."""
        return self.deadline is not None and self.clock.monotonic() >= self.deadline

    def __call__(self, tail: "Tail") -> bool:
        """Whether the tail ends; asked after each round."""
        return self.over() if self.lasts else tail.caught_up()


CAUGHT_UP = Until(False, None)
"""The run ends once everything is read."""
