"""The acts of the demonstration."""

import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.markup import escape

from connector import job
from connector.config.model import Config
from connector.config.reading import read_file
from connector.config.text import absolute
from connector.demo import source as source
from connector.demo.source import TABLE
from connector.errors import ConfigError, StateRefused

Commands = Callable[[Config, str, str], None]
"""Runs a command of the command line with a table or a query, and prints its result."""

FILE = Path("connector-demo.duckdb")
CONTRACT = Path(__file__).with_name(f"{TABLE}.yaml")
"""What is declared of the table, as in schemas/ of the repository."""
WIDTH = 100
ROWS = f'select courseid, title, duration, topics from "{TABLE}" order by courseid'

STRANGERS = """
select count(*) as n from information_schema.tables where table_schema <> '_connector'
"""


def run_demo(file: Path | None, commands: Commands) -> None:
    """Replicates a made-up table into a DuckDB file and shows each step.

    Raises ConfigError if the file exists and holds something else.
    """
    chosen = file or FILE
    with source.served() as writer, TemporaryDirectory(prefix="connector-demo-") as spool:
        demo = Demo(chosen, _config(chosen, writer.url, spool), commands, _console())
        demo.begin()
        demo.snapshot(writer)
        demo.tail(writer)
        demo.grow(writer)
        demo.prove()
        demo.end()


def _console() -> Console:
    terminal = Console(highlight=False)
    width = min(WIDTH, terminal.width) if terminal.is_terminal else WIDTH
    return Console(width=width, highlight=False, emoji=False)


def _config(file: Path, endpoint: str, spool: str) -> Config:
    # quiet_seconds is short because moto, in this process, delivers every change at once.
    return Config.model_validate(
        {
            "source": {"region": source.REGION, "endpoint_url": endpoint, "retry_seconds": 10},
            "destination": {"url": f"duckdb:///{absolute(str(file), Path())}", "lock_timeout": 5},
            "spool": spool,
            "tail": {"quiet_seconds": 0.5, "poll_seconds": 0.1},
            "tables": {TABLE: read_file(CONTRACT)},
        }
    )


@dataclass
class Demo:
    """The acts of the demonstration, in order."""

    file: Path
    config: Config
    commands: Commands
    console: Console

    def begin(self) -> None:
        """Introduces the demonstration, and removes what an earlier one has left."""
        self._forget()
        self._say(
            "moto's DynamoDB runs in this process; no AWS account and no network are used.\n"
            f"The table {TABLE} is replicated to the DuckDB file {self.file.name}."
        )

    def _forget(self) -> None:
        if not self.file.exists():
            return
        destination = job.open_destination(self.config, TABLE)
        try:
            state = destination.read(TABLE)
        except StateRefused as error:
            raise ConfigError(
                f"The file {self.file} was written by another version of the connector, or is "
                "damaged.",
                "Delete it if it is the demo's, or choose another: `connector demo --file FILE`.",
            ) from error
        if state is None and self._query(STRANGERS)[0]["n"] == 0:
            return
        if state is None or state.identity.table_arn != source.TABLE_ARN:
            raise ConfigError(
                f"The file {self.file} exists and was not created by the demo.",
                "Choose another one: `connector demo --file other.duckdb`.",
            )
        destination.reset(TABLE, drop=True)

    def snapshot(self, writer: source.Writer) -> None:
        """The first sync: the whole table is read."""
        self._heading("1. There are three courses. The first sync takes a snapshot.")
        for course in source.FIRST:
            self._put(writer, course)
        self._run("sync", TABLE)

    def tail(self, writer: source.Writer) -> None:
        """The second sync: only the changes since are read."""
        self._heading("2. Three added, one updated, one deleted. The next sync reads the stream.")
        for course in source.SECOND:
            self._put(writer, course)
        writer.retitle(source.WRONG, source.RIGHT)
        self._say(f'   update {source.WRONG}  title = "{source.RIGHT}"')
        writer.delete(source.DELETED)
        self._say(f"   delete {source.DELETED}")
        self._run("sync", TABLE)

    def grow(self, writer: source.Writer) -> None:
        """The third sync: items with another attribute add a column to the table."""
        self._heading("3. Three that look different: they have topics, but no instructor.")
        for course in source.THIRD:
            self._put(writer, course)
        self._run("sync", TABLE)

    def prove(self) -> None:
        """Compares every item with its row."""
        self._heading("4. Proof that the replica is right: every item is compared with its row.")
        self._run("verify", TABLE)

    def end(self) -> None:
        """The rows, the file, and how to query it."""
        self._heading("5. The rows. Nine courses were put, and one of them was deleted.")
        self._run("query", ROWS)
        self._say(f"\nThe file: {absolute(str(self.file), Path())}\nQuery it:")
        self._command("query", f'select title, duration from "{TABLE}" order by duration')
        everything = f"'from \"{TABLE}\"'"
        self._say(
            f"   or with DuckDB's own program: duckdb {shlex.quote(str(self.file))} {everything}"
        )

    def _put(self, writer: source.Writer, course: source.Course) -> None:
        writer.put(course)
        self._say(f"   put    {course['courseid']['S']}  {course['title']['S']}")

    def _run(self, verb: str, subject: str) -> None:
        """Shows a command, and runs it."""
        self._command(verb, subject)
        self.commands(self.config, verb, subject)

    def _query(self, sql: str) -> list[dict[str, Any]]:
        answer = job.open_destination(self.config).query(sql)
        rows: list[dict[str, Any]] = answer.to_pylist()
        return rows

    def _heading(self, text: str) -> None:
        self.console.print(f"\n[bold]{escape(text)}[/bold]")

    def _command(self, *words: str) -> None:
        line = shlex.join([_program(), *words, "--quiet", "--to", f"duckdb:///{self.file}"])
        self._say(f" $ {line}")

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)


def _program() -> str:
    """The command as it was started, so that a printed line can be run as it stands."""
    started = sys.argv[0]
    by_path = Path(started).name == "connector" and not shutil.which("connector")
    return started if by_path else "connector"
