"""Columns of declared types: a table has them from its plan on, whatever its items hold."""

from collections.abc import Mapping
from dataclasses import dataclass

from connector.core.keys import KeySchema
from connector.core.schema import DECLARED_ONLY, Type
from connector.core.spec import TableSpec
from connector.core.state import Column
from connector.destinations.database import Transaction
from connector.destinations.sql import Target, quoted
from connector.destinations.table import columns as table_columns

Columns = dict[str, Column]


def wanted(spec: TableSpec, keys: KeySchema) -> dict[str, Type]:
    """The declared types of all columns besides those of the key."""
    names = {key.name for key in keys}
    return {name: type_ for name, type_ in spec.contract.types.items() if name not in names}


def same_type(transaction: Transaction, one: Type, other: Type) -> bool:
    """Whether two types are one in the database."""
    return transaction.dialect.type_of(one) == transaction.dialect.type_of(other)


@dataclass(frozen=True)
class Declaring:
    """Gives one table the columns that are declared, inside a transaction."""

    transaction: Transaction
    target: Target
    keys: KeySchema
    spec: TableSpec

    def declare(self, columns: Columns) -> tuple[Columns, Columns]:
        """The columns as they are declared, and those that are retired because they were others.

        What earlier rows have in these stays readable, under another name, until rows of this
        generation replace them.
        """
        types = wanted(self.spec, self.keys)
        unlike = [name for name, column in columns.items() if self._unlike(name, column, types)]
        retired = self._aside(columns, unlike)
        columns = {name: column for name, column in columns.items() if name not in unlike}
        columns |= {n: Column(c.name, types[n]) for n, c in columns.items() if n in types}
        actual = self.transaction.describe(self.target).columns
        grown = table_columns.grow(
            self.transaction, self.target, actual, columns, types, len(types), self.spec
        )
        if grown.keys() != columns.keys():
            table_columns.ours_last(self.transaction, self.target, actual, columns)
        return grown, retired

    def _unlike(self, name: str, column: Column, types: Mapping[str, Type]) -> bool:
        if name in {key.name for key in self.keys}:
            return False
        if name in types:
            return not same_type(self.transaction, column.type, types[name])
        return column.type.kind in DECLARED_ONLY

    def _aside(self, columns: Columns, unlike: list[str]) -> Columns:
        """Renames columns of other types, and returns them under the names they have then."""
        retired: Columns = {}
        for attribute in unlike:
            column = columns[attribute]
            new = f"{column.name}_before"
            while new in columns or new in retired:
                new += "_"
            actual = self.transaction.describe(self.target).columns
            there = columns | retired
            name = table_columns.named(self.transaction.dialect, [new], actual, there, self.spec)[
                new
            ]
            self.transaction.ask(
                f"ALTER TABLE {self.target.sql} RENAME COLUMN {quoted(column.name)} "
                f"TO {quoted(name)}"
            )
            retired[new] = Column(name, column.type)
        return retired
