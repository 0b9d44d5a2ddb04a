"""Gives columns the names that a table's rules say."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from connector.core.names import holds
from connector.core.rules.rules import Rules
from connector.core.spec import TableSpec
from connector.core.state import Column
from connector.destinations.database import Transaction
from connector.destinations.history.ended import Ended
from connector.destinations.history.log import Log
from connector.destinations.sql import Target, quoted
from connector.destinations.table import columns as table_columns
from connector.errors import ConfigError

Columns = dict[str, Column]


@dataclass(frozen=True)
class Renaming:
    """Renames columns of one table, inside a transaction."""

    transaction: Transaction
    table: str
    target: Target

    def check(self, spec: TableSpec) -> None:
        """Raises ConfigError if the database allows no column of a wanted name."""
        rules = self.transaction.dialect.rules
        for attribute, name in spec.rules.names.items():
            if not holds(name, rules):
                raise ConfigError(
                    f"tables.{self.table}.columns.{attribute}.rename: the database allows no "
                    f"column called {name}.",
                    "Choose another name.",
                )

    def named(self, columns: Mapping[str, Column], had: Rules, spec: TableSpec) -> Columns:
        """The columns under their wanted names; those that `had` others are renamed.

        Raises ConfigError if something else has one of these names.
        """
        self.check(spec)
        names = spec.rules.names
        moving = [
            attribute
            for attribute, column in columns.items()
            if had.names.get(attribute) != names.get(attribute)
            and column.name != names.get(attribute)
        ]
        staying = {a: column for a, column in columns.items() if a not in moving}
        actual = self.transaction.describe(self.target).columns
        left = {n: sql for n, sql in actual.items() if n not in {columns[a].name for a in moving}}
        self._refuse_taken(names, left, columns, moving)
        new = table_columns.named(self.transaction.dialect, moving, left, staying, spec)
        changed = {columns[attribute].name: name for attribute, name in new.items()}
        self._rename(self.target, changed, actual)
        self._rename_beside(changed)
        return {
            attribute: Column(new.get(attribute, column.name), column.type)
            for attribute, column in columns.items()
        }

    def _refuse_taken(
        self,
        names: Mapping[str, str],
        left: Iterable[str],
        columns: Mapping[str, Column],
        moving: Iterable[str],
    ) -> None:
        fold = self.transaction.dialect.rules.fold
        there = set(map(fold, left))
        for attribute, name in names.items():
            coming = attribute in moving or attribute not in columns
            if coming and fold(name) in there:
                raise ConfigError(
                    f"tables.{self.table}.columns.{attribute}.rename: {self.target} has another "
                    f"column called {name}.",
                    "Nothing was changed. Choose another name.",
                )

    def _rename_beside(self, names: Mapping[str, str]) -> None:
        """Renames the same columns where versions and changes of the table are kept."""
        log = Log(self.transaction, self.target, ())
        for kept in (Ended(self.transaction, self.target), log):
            if not names or not kept.mine():
                continue
            actual = self.transaction.describe(kept.target).columns
            # A column that an earlier generation had keeps its name.
            free = {
                before: after
                for before, after in names.items()
                if before in actual and (after in names or after not in actual)
            }
            self._rename(kept.target, free, actual)

    def _rename(self, target: Target, names: Mapping[str, str], actual: Iterable[str]) -> None:
        """Renames columns, some of which may take the names of others."""
        fold = self.transaction.dialect.rules.fold
        there = {*map(fold, actual)}
        steps = dict(names)
        if any(fold(name) in there for name in names.values()):
            steps = {}
            for index, (before, after) in enumerate(names.items()):
                between = f"_connector_{index}"
                self._one(target, before, between)
                steps[between] = after
        for before, after in steps.items():
            self._one(target, before, after)

    def _one(self, target: Target, before: str, after: str) -> None:
        self.transaction.ask(
            f"ALTER TABLE {target.sql} RENAME COLUMN {quoted(before)} TO {quoted(after)}"
        )
