"""Columns of declared types: a table has them from its plan on, whatever its items hold."""

from collections.abc import Mapping
from dataclasses import dataclass

from connector.core.contracts.changed import ContractFacts, newly_declared
from connector.core.contracts.contract import Contract
from connector.core.keys import KeySchema
from connector.core.names import REST
from connector.core.schema import DECLARED_ONLY, Type
from connector.core.spec import TableSpec
from connector.core.state import Column
from connector.destinations.database import Transaction
from connector.destinations.sql import Target, quoted
from connector.destinations.table import columns as table_columns
from connector.destinations.table.rows import live_rows

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

    def facts(
        self, have: Contract, columns: Mapping[str, Column], overflowed: bool, loading: bool
    ) -> ContractFacts:
        """What decides whether the table's rows are as the spec's contract would make them."""
        exact = {
            name
            for name, entry in newly_declared(have, self.spec.contract).items()
            if (
                same_type(self.transaction, columns[name].type, entry.type)
                if name in columns and entry.type
                else not overflowed
            )
        }
        return ContractFacts(
            loading=loading,
            overflowed=overflowed,
            unfit=self._unfit(have, columns),
            exact=frozenset(exact),
            columned=frozenset(columns),
        )

    def _unfit(self, have: Contract, columns: Mapping[str, Column]) -> bool:
        """Whether a row has a value that does not fit, or lacks one that is required."""
        actual = self.transaction.describe(self.target).columns
        judged = self.spec.contract.judged
        required = [name for name, entry in judged.items() if entry.required]
        lacking = [
            f"{quoted(columns[name].name)} IS NULL" if name in columns else "true"
            for name in required
        ]
        cast = [
            quoted(columns[name].name) for name in judged if name in columns and name in have.types
        ]
        if cast and table_columns.has(self.transaction.dialect, actual, columns, REST):
            null = " OR ".join(f"{name} IS NULL" for name in cast)
            lacking.append(f"({quoted(REST)} IS NOT NULL AND ({null}))")
        if not lacking:
            return False
        live = live_rows(self.transaction, columns, actual) or " WHERE true"
        sql = f"SELECT 1 AS found FROM {self.target.sql}{live} AND ({' OR '.join(lacking)}) LIMIT 1"
        return bool(self.transaction.ask(sql))

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
