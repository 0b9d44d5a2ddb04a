"""The operations that a database must provide; everything else is written once over them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import pyarrow as pa

from connector.core.rows import DELETED, MARKED
from connector.core.schema import Type
from connector.core.state import Column
from connector.destinations.commits import plain
from connector.destinations.commits.staging import Layout, count
from connector.destinations.sql import OUTER, Target, literal, quoted
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
    """Staged rows that replace, delete or mark the rows with their keys."""

    layout: Layout
    commit: int
    """The number of the commit, for the column `_commit`."""
    written: int
    deleted: int
    marked: int
    """The number of rows that do each."""

    @classmethod
    def of(cls, layout: Layout, commit: int, staged: pa.Table) -> Self:
        """The merge of these rows."""
        deleted, marked = count(staged, DELETED), count(staged, MARKED)
        return cls(layout, commit, len(staged) - deleted - marked, deleted, marked)


@dataclass(frozen=True)
class Failure:
    """Why and where a transaction failed."""

    cause: Exception
    widening: NotWidened | None
    """The column that was being widened."""
    dropping: bool
    """Whether the table was being dropped."""


class Transaction(Protocol):
    """One transaction of a database, rolled back at its end unless it was committed.

    Statements have `$1`, `$2`, … as parameters. Those that the databases share are SQL that all
    of them understand.
    """

    dialect: Dialect
    layout: type[Layout] = Layout
    """The layout in which rows are staged."""
    schema: Schema
    """The state's own tables."""
    at: Target | None = None
    """Which of several targets is being written, to be named if that fails."""

    def ask(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Runs one statement and returns its rows."""
        ...

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """The answer to a statement as it comes."""
        ...

    def describe(self, target: Target) -> Found:
        """A table as it is now. Raises DestinationRefused if we cannot use it."""
        ...

    def create(self, target: Target, columns: Mapping[str, Column]) -> None:
        """Creates a table of key columns and service columns, and its schema if absent."""
        types = {column.name: self.dialect.type_of(column.type) for column in columns.values()}
        types.update(self.dialect.service)
        body = ", ".join(f"{quoted(name)} {sql}" for name, sql in types.items())
        self.ask(f"CREATE TABLE {target.sql} ({body})")

    def staged(self, rows: pa.Table, name: str) -> AbstractContextManager[None]:
        """Makes rows available to statements as the temporary table `name`."""
        ...

    def merge(self, merge: Merge) -> int:
        """Merges the rows staged as `sql.STAGED`; returns how many rows were deleted.

        Whole items are replaced. A row that is only marked keeps its values; a marked row that does
        not exist yet is added with its key alone.
        """
        return plain.merge(self, merge)

    def not_older(self, layout: Layout) -> list[dict[str, Any]]:
        """Rows that are not older than those staged as `sql.STAGED_TIMES`, by its column `place`.

        The staged rows have the bounds of their times: `in_second`, `in_millisecond`, `made`,
        `high`. The answer says `at` what time a row was made, and if it is `newer` than all.
        """
        return plain.not_older(self, layout)

    def load(self, loading: "Loading", tables: Iterable[pa.Table]) -> tuple[int, int]:
        """Brings in the rows of a scan; returns how many were written and how many deleted.

        The newest row of each key is written if the stream has neither written nor deleted it
        since the plan; the rows of earlier generations that are not among them are deleted.
        """
        return plain.load(self, loading, tables)

    def gathered(
        self, loading: "Loading", tables: Iterable[pa.Table]
    ) -> AbstractContextManager[None]:
        """Makes all rows of a scan available to statements as `sql.STAGED`."""
        ...

    def buried(self, layout: Layout, staged: str) -> str:
        """A query that has a row if a tombstone has the key of a staged row; `$2` is the source."""
        ...

    def begin(self) -> None:
        """Begins the transaction, or another one after a commit."""
        self.ask("BEGIN TRANSACTION")

    def commit(self) -> None:
        """Commits the transaction."""
        self.ask("COMMIT")

    def lock(self, names: Sequence[str]) -> None:
        """Waits for other transactions with a name in common, if there can be several writers."""
        return

    def explain(
        self, failure: Failure, target: Callable[[], Target | None]
    ) -> ConnectorError | None:
        """A better error for the failure, if an object that somebody else created is the cause.

        It may roll back first; `target` looks up the table afterwards.
        """
        return None

    def insert(
        self, target: Target, columns: str, query: str, parameters: Sequence[Any] = ()
    ) -> None:
        """Adds all rows of a query. Raises DestinationRefused if something of others drops one."""
        self.ask(f"INSERT INTO {target.sql} ({columns}) {query}", parameters)

    def delete(self, target: Target, condition: str, parameters: Sequence[Any] = ()) -> None:
        """Deletes the rows, called OUTER, that meet a condition; raises like `insert`."""
        self.ask(f"DELETE FROM {target.sql} AS {OUTER} WHERE {condition}", parameters)

    def taken(self, target: Target) -> bool:
        """Whether anything has this name."""
        return bool(self.describe(target).columns)

    def looked_at(self, target: Target) -> Mapping[str, str]:
        """The columns of a table; none if there is no such table, or we cannot use it."""
        return self.describe(target).columns

    def move_view(self, have: Target, want: Target) -> None:
        """Moves a view to another name or schema, or drops it: it is made anew afterwards."""
        self.drop_view(have)

    def unused(self, target: Target) -> bool:
        """Whether a table is empty and nothing that others created depends on its columns."""
        return not self.ask(f"SELECT 1 AS found FROM {target.sql} LIMIT 1")

    def has_default(self, target: Target, column: str) -> bool:
        """Whether a column is ours, with a default: an attribute's column may have its name."""
        found = self.describe(target).columns.get(column)
        return found is not None and found == self.dialect.optional[column].partition(" ")[0]

    def try_new(self, target: Target, key: Mapping[str, Column]) -> None:
        """Tries what a run does with a new table, on one that was just created."""
        return

    def try_rows(self, target: Target, key: Sequence[Column]) -> str:
        """Tries what a run does with a table in use; returns what could not be tried."""
        return ""

    def index_versions(self, target: Target, keys: Sequence[str]) -> None:
        """Indexes a new table of ended versions, if this kind of database needs that."""
        return

    def drop(self, target: Target, what: str = "table") -> None:
        """Drops a table, or a view, that is kept beside a replicated table."""
        self.ask(f"DROP {what} {target.sql}")

    def drop_view(self, view: Target) -> list[str]:
        """Drops a view; returns the statements that grant again what was granted on it."""
        self.ask(f"DROP VIEW {view.sql}")
        return []

    def view_columns(self, view: Target) -> Mapping[str, str]:
        """The columns, with their SQL types, that a view must begin with if it is replaced.

        None if it is not there.
        """
        return {}

    def widen(self, target: Target, column: Column, type_: Type) -> None:
        """Gives a column a wider type. Every value keeps its digits."""
        name, sql = quoted(column.name), self.dialect.type_of(type_)
        using = self.dialect.widened(name, column.type, type_)
        self.ask(f"ALTER TABLE {target.sql} ALTER COLUMN {name} TYPE {sql} USING {using}")

    def comments(self, target: Target) -> Mapping[str, str]:
        """The comments on the columns of a table or a view, by column."""
        return {}

    def comment(self, target: Target, column: str, text: str | None) -> None:
        """Comments on a column, or removes its comment."""
        said = "NULL" if text is None else literal(text)
        self.ask(f"COMMENT ON COLUMN {target.sql}.{quoted(column)} IS {said}")

    def move(self, have: Target, want: Target) -> None:
        """Moves a table, with everything in it, to another name or schema."""
        self.ask(f"ALTER TABLE {have.sql} RENAME TO {quoted(want.name)}")


class Database(Protocol):
    """One database, opened for one transaction at a time."""

    def exists(self) -> bool:
        """Whether the database exists; operations that only read do not create it."""
        return True

    def begin(self, more: bool = False) -> AbstractContextManager[Transaction]:
        """A transaction that may write; with `more`, another one follows at once."""
        ...

    def read_only(self) -> AbstractContextManager[Transaction]:
        """A transaction that sees the database as it is at one moment."""
        return self.begin()

    def held_open(self) -> AbstractContextManager[None]:
        """Lets this thread's read-only transactions share what they open."""
        return nullcontext()

    def attempt(self, work: Callable[[], Result]) -> Result:
        """Runs a whole transaction, and repeats it if a conflict rolled it back."""
        return work()

    def release(self) -> None:
        """Closes what is still open for a transaction that was expected to follow."""
        return

    def query(self, sql: str, schema: str) -> pa.Table:
        """The answer to a user's query; names without a schema are in `schema`."""
        raise DestinationRefused("This kind of destination cannot be queried.")

    def about(self) -> str:
        """A description of what the url leads to, for `connector check`."""
        with self.trial():
            return "opened"

    def trial(self) -> AbstractContextManager[Transaction]:
        """A transaction that may write, but is never committed and leaves nothing behind."""
        return self.begin()
