"""What a database must be able to do, so that everything else is written once over it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pyarrow as pa

from connector.core.schema import Type
from connector.core.state import Column
from connector.destinations.commits import plain
from connector.destinations.commits.staging import Layout
from connector.destinations.sql import Target, quoted
from connector.destinations.state.tables import Schema
from connector.destinations.table.dialect import Dialect
from connector.destinations.table.in_the_way import NotWidened
from connector.errors import ConnectorError, DestinationRefused

if TYPE_CHECKING:
    from connector.destinations.commits.load import Loading

Result = TypeVar("Result")


@dataclass(frozen=True)
class Found:
    """A table as it is now; `columns` is empty if there is none."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """SQL types by column, as the database spells both."""
    key: tuple[str, ...] | None = None
    """The columns of its primary key, in order; None if this kind of database makes none."""


@dataclass(frozen=True)
class Merge:
    """Staged rows that are to replace, to delete or to mark the rows of their keys."""

    layout: Layout
    commit: int
    """The number of the commit, for the column `_commit`."""
    written: int
    deleted: int
    marked: int
    """How many of the rows do each."""


@dataclass(frozen=True)
class Failure:
    """What a transaction failed at."""

    cause: Exception
    widening: NotWidened | None
    """The column that it was about to widen."""
    dropping: bool
    """Whether the table was to be dropped."""


class Transaction(Protocol):
    """One transaction of a database. It is rolled back at its end, unless it was committed.

    Statements have `$1`, `$2`, … for parameters, and those that the databases share are SQL that
    all of them read.
    """

    dialect: Dialect
    layout: type[Layout] = Layout
    """How rows are staged."""
    schema: Schema
    """The state's own tables."""

    def ask(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Runs one statement and returns its rows."""
        ...

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """The answer to a statement as it comes."""
        ...

    def describe(self, target: Target) -> Found:
        """A table as it is now. Raises DestinationRefused if it is none of ours to use."""
        ...

    def create(self, target: Target, columns: Mapping[str, Column]) -> None:
        """Makes a table of key columns and service columns, and its schema if there is none."""
        types = {column.name: self.dialect.type_of(column.type) for column in columns.values()}
        types.update(self.dialect.service)
        body = ", ".join(f"{quoted(name)} {sql}" for name, sql in types.items())
        self.ask(f"CREATE TABLE {target.sql} ({body})")

    def staged(self, rows: pa.Table, name: str) -> AbstractContextManager[None]:
        """Lets statements read rows as the temporary table `name`."""
        ...

    def merge(self, merge: Merge) -> int:
        """Merges the rows staged as `sql.STAGED`; returns how many rows were deleted.

        The whole item is replaced. A row that is only marked keeps its values; one that was never
        seen is added with its key alone.
        """
        return plain.merge(self, merge)

    def load(self, loading: "Loading", tables: Iterable[pa.Table]) -> tuple[int, int]:
        """Brings in the rows of a scan; returns how many were written and how many deleted.

        The newest row of each key is written if the stream has neither written nor deleted it
        since the plan; the rows of earlier generations that are not among them are deleted.
        """
        return plain.load(self, loading, tables)

    def begin(self) -> None:
        """Begins the transaction, or another one after a commit."""
        self.ask("BEGIN TRANSACTION")

    def commit(self) -> None:
        """Ends the transaction, and keeps what it did."""
        self.ask("COMMIT")

    def lock(self, names: Sequence[str]) -> None:
        """Takes turns with whoever has a name in common, if the database has many writers."""
        return

    def explain(
        self, failure: Failure, target: Callable[[], Target | None]
    ) -> ConnectorError | None:
        """A better error for what this transaction failed at, if an object of others is the cause.

        It may roll back, and `target` looks up the table then.
        """
        return None

    def taken(self, target: Target) -> bool:
        """Whether anything has this name."""
        return bool(self.describe(target).columns)

    def unused(self, target: Target) -> bool:
        """Whether a table is empty, and nothing of anybody else depends on its columns."""
        return not self.ask(f"SELECT 1 AS found FROM {target.sql} LIMIT 1")

    def has_default(self, target: Target, column: str) -> bool:
        """Whether a column is of ours and has a default: an attribute may have its name."""
        found = self.describe(target).columns.get(column)
        return found is not None and found == self.dialect.optional[column].partition(" ")[0]

    def try_new(self, target: Target, key: Mapping[str, Column]) -> None:
        """Tries on a table that was just made what a run does with a new one."""
        return

    def try_rows(self, target: Target, key: Sequence[Column]) -> str:
        """Tries on a table in use what a run does with it; returns what could not be tried."""
        return ""

    def widen(self, target: Target, column: Column, type_: Type) -> None:
        """Gives a column a type that holds what it has, too. Every value keeps its digits."""
        name, sql = quoted(column.name), self.dialect.type_of(type_)
        using = self.dialect.widened(name, column.type, type_)
        self.ask(f"ALTER TABLE {target.sql} ALTER COLUMN {name} TYPE {sql} USING {using}")

    def move(self, have: Target, want: Target) -> None:
        """Gives a table another name, or another schema, with all that it holds."""
        self.ask(f"ALTER TABLE {have.sql} RENAME TO {quoted(want.name)}")


class Database(Protocol):
    """One database, opened for one transaction at a time."""

    def exists(self) -> bool:
        """Whether there is anything in it yet; what only reads makes nothing."""
        return True

    def begin(self, more: bool = False) -> AbstractContextManager[Transaction]:
        """A transaction that may write. `more` says that another one follows at once."""
        ...

    def read_only(self) -> AbstractContextManager[Transaction]:
        """A transaction that sees the database as it is at one moment."""
        return self.begin()

    def held_open(self) -> AbstractContextManager[None]:
        """Lets the transactions of this thread that only read share what they open."""
        return nullcontext()

    def attempt(self, work: Callable[[], Result]) -> Result:
        """Does a whole transaction, again if it was rolled back through no fault of its own."""
        return work()

    def release(self) -> None:
        """Closes what was left open for a transaction that was to follow."""
        return

    def query(self, sql: str, schema: str) -> pa.Table:
        """The answer to a user's own query; names without a schema are of `schema`."""
        raise DestinationRefused("This kind of destination cannot be queried.")

    def about(self) -> str:
        """What is found at the url, for `connector check`."""
        with self.trial():
            return "opened"

    def trial(self) -> AbstractContextManager[Transaction]:
        """A transaction that may write, and is never committed; it makes nothing."""
        return self.begin()
