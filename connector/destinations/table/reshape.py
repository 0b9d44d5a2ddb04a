"""Changes a table's name or spec in one transaction, if its rows allow it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from connector.core.contracts.changed import check_contract
from connector.core.contracts.contract import NO_CONTRACT
from connector.core.names import COMMIT, DELETED, HISTORY, REST, SERVICE, assign
from connector.core.rules.rules import NO_RULES
from connector.core.spec import Deletes, Facts, TableSpec, check_change, check_rules
from connector.core.state import Column, Phase, Plan
from connector.destinations.commits.step import check_key, refuse_shared, unknown
from connector.destinations.database import Transaction
from connector.destinations.history.places import all_of
from connector.destinations.sql import Target, quoted
from connector.destinations.state.header import Header
from connector.destinations.state.part import Part
from connector.destinations.state.store import State
from connector.destinations.table import columns as table_columns
from connector.destinations.table.comments import describe
from connector.destinations.table.declaring import Declaring, wanted
from connector.destinations.table.renaming import Renaming
from connector.errors import ConfigError

Columns = dict[str, Column]


@dataclass(frozen=True)
class Reshape:
    """Changes tables together with their state."""

    transaction: Transaction
    state: State

    def reconfigure(self, table: str, target: Target, spec: TableSpec) -> None:
        """Applies a changed configuration. After a ConfigError the transaction is rolled back."""
        header = self.state.header(table) if self.state.exists() else None
        if header is None:
            raise unknown(table)
        self._move(table, header, target)
        have = header.made_with()
        if have is None:
            # Version 0.1.0 knew no rules and no contract.
            check_rules(table, header.identity.keys, NO_RULES, spec.rules)
            facts = self._facts(header, target, spec)
            check_contract(table, NO_CONTRACT, spec.contract, facts.contract)
        if have is not None and have != spec:
            facts = self._facts(header, target, spec)
            check_change(table, header.identity.keys, have, spec, facts)
            if facts.marked and not spec.marks:
                self._drop_marked(target)
            if have.packed and not spec.packed:
                self._use_retired(table, target)
            if have.rules.names != spec.rules.names:
                columns, retired = self.state.all_columns(table)
                named = Renaming(self.transaction, table, target).named(columns, have.rules, spec)
                self.state.save_columns(table, named, retired)
        had = have or TableSpec()
        if spec.contract.types != had.contract.types:
            self._declare(table, target, header, spec)
        self._describe(table, target, had, spec)

    def _declare(self, table: str, target: Target, header: Header, spec: TableSpec) -> None:
        """Gives a table columns that are newly declared."""
        columns, retired = self.state.all_columns(table)
        declaring = Declaring(self.transaction, target, header.row_keys, spec)
        columns, unlike = declaring.declare(columns)
        self.state.save_columns(table, columns, retired | unlike)

    def _describe(self, table: str, target: Target, have: TableSpec, want: TableSpec) -> None:
        columns, retired = self.state.all_columns(table)
        describe(self.transaction, target, retired | columns, have, want)

    def _use_retired(self, table: str, target: Target) -> None:
        """Returns retired columns, which rows marked as deleted still fill, to their attributes."""
        columns, retired = self.state.all_columns(table)
        actual = self._actual(target)
        there = {a: c for a, c in retired.items() if c.name in actual}
        self.state.save_columns(table, columns | there, {})

    def begin(
        self, plan: Plan, target: Target, before: Header | None, had: Sequence[Part] = ()
    ) -> None:
        """Prepares the table for a new generation, and saves its columns.

        `before` is its row, and the first of `had` is where the state has its columns.
        """
        dialect, arn = self.transaction.dialect, plan.identity.table_arn
        refuse_shared(dialect, self.state, plan.table, arn, target, plan.spec)
        if before is not None:
            self._move(plan.table, before, target)
        actual = self._actual(target)
        retired: Columns = {}
        Renaming(self.transaction, plan.table, target).check(plan.spec)
        if not actual:
            columns = table_columns.key_columns(dialect, plan.row_keys, plan.spec)
            self.transaction.create(target, columns)
        else:
            there = had[0].state.all_columns(plan.table) if had else ({}, {})
            columns, retired = self._columns(plan, target, before, actual, there)
        declaring = Declaring(self.transaction, target, plan.row_keys, plan.spec)
        columns, unlike = declaring.declare(columns)
        retired |= unlike
        self.state.save_columns(plan.table, columns, retired)
        made = (before.made_with() if before else None) or TableSpec()
        self._describe(plan.table, target, made, plan.spec)

    def _columns(
        self,
        plan: Plan,
        target: Target,
        before: Header | None,
        actual: Mapping[str, str],
        known: tuple[Columns, Columns],
    ) -> tuple[Columns, Columns]:
        """The columns of an existing table: those in use from now on, and the retired ones."""
        retired: Columns = {}
        if before is None:
            columns = self._adopted(plan, target)
        else:
            check_key(before, plan)
            columns, retired = known
        there = {a: c for a, c in retired.items() if c.name in actual}
        columns = columns | there
        for service in self._taken(columns, plan.spec):
            columns = self._free(service, plan.spec, target, columns, actual)
        had = (before.made_with() if before else None) or TableSpec()
        renaming = Renaming(self.transaction, plan.table, target)
        columns = renaming.named(columns, had.rules, plan.spec)
        found = self.transaction.describe(target)
        table_columns.refuse_changed(
            self.transaction.dialect, target, found, columns, plan.row_keys
        )
        self._forget_marks(plan, target, before, columns, actual)
        if not plan.spec.packed:
            return columns, {}
        keys = {key.name for key in plan.identity.keys}
        return (
            {a: c for a, c in columns.items() if a in keys},
            {a: c for a, c in columns.items() if a not in keys},
        )

    def _adopted(self, plan: Plan, target: Target) -> Columns:
        """The columns of a table that has no state any more."""
        found, names = self.transaction.describe(target), plan.spec.rules.names
        declared = wanted(plan.spec, plan.row_keys)
        return table_columns.adopt(self.transaction, target, found, plan.row_keys, names, declared)

    def _taken(self, columns: Mapping[str, Column], spec: TableSpec) -> list[str]:
        """The names of the spec's own columns that columns of attributes have."""
        dialect = self.transaction.dialect
        return [
            service
            for service in spec.service
            if table_columns.attribute_of(dialect, columns, service) is not None
        ]

    def _free(
        self,
        service: str,
        spec: TableSpec,
        target: Target,
        columns: Columns,
        actual: Mapping[str, str],
    ) -> Columns:
        """The columns, after renaming an attribute's column with the name of one of ours."""
        dialect = self.transaction.dialect
        attribute = table_columns.attribute_of(dialect, columns, service)
        assert attribute is not None
        column = columns[attribute]
        others = {name: other.name for name, other in columns.items() if name != attribute}
        reserved = dialect.rules.reserved.union(map(dialect.rules.fold, actual))
        rules = replace(dialect.rules, reserved=reserved)
        name = assign([attribute], others, rules, {*SERVICE, *spec.service}, spec.rules.names)[
            attribute
        ]
        self.transaction.ask(
            f"ALTER TABLE {target.sql} RENAME COLUMN {quoted(column.name)} TO {quoted(name)}"
        )
        return {**columns, attribute: Column(name, column.type)}

    def _forget_marks(
        self,
        plan: Plan,
        target: Target,
        before: Header | None,
        columns: Columns,
        actual: Mapping[str, str],
    ) -> None:
        had = before.made_with() if before else None
        unclear = had is not None and (had.deletes, plan.spec.deletes) == (
            Deletes.SOFT,
            Deletes.IGNORE_TTL,
        )
        gone = unclear or not plan.spec.marks
        if gone and table_columns.has(self.transaction.dialect, actual, columns, DELETED):
            self._drop_marked(target)

    def _drop_marked(self, target: Target) -> None:
        self.transaction.ask(f"DELETE FROM {target.sql} WHERE {quoted(DELETED)}")

    def _move(self, table: str, header: Header, want: Target) -> None:
        """Moves the table to its configured name. Raises ConfigError if that is taken."""
        have = header.target
        if have == want:
            return
        for other, theirs in self.state.targets().items():
            if other != table and any(self._same(each, want) for each in theirs):
                raise ConfigError(
                    f"{table} is in {have} and should go to {want}, where {other} is.",
                    f"Nothing was changed. If {other} should move as well, run `connector sync "
                    f"{other}` first; to swap two names, give one of them a third name in between. "
                    f"If {other} is no longer replicated, `connector reset {other} --drop` makes "
                    "room.",
                )
        if not self._same(have, want) and self.transaction.taken(want):
            raise ConfigError(
                f"{table} is in {have} and should go to {want}, but that name is taken already.",
                "Nothing was changed. Choose another name with `into`, or drop what is there.",
            )
        if self._actual(have):
            self._move_beside(header, have, want)
            self.transaction.move(have, want)
        self.state.update(table, target_schema=want.schema, target_name=want.name)

    def _move_beside(self, header: Header, have: Target, want: Target) -> None:
        """Moves what is kept beside a table to where that will be."""
        spec = header.made_with()
        theirs, mine = all_of(have, spec)[1:], all_of(want, spec)[1:]
        if self._same(have, want):
            return self._move_each(theirs, mine)
        for place in mine:
            if self.transaction.taken(place):
                raise ConfigError(
                    f"{header.table_name} is in {have} and should go to {want}, but the name "
                    f"{place} of what is kept beside it is taken already.",
                    "Nothing was changed. Choose another name with `into`, or drop what is there.",
                )
        return self._move_each(theirs, mine)

    def _move_each(self, have: Sequence[Target], want: Sequence[Target]) -> None:
        for one, other in zip(have, want, strict=True):
            if one.name.endswith(HISTORY):
                self.transaction.move_view(one, other)
            else:
                self.transaction.move(one, other)

    def _facts(self, header: Header, target: Target, want: TableSpec) -> Facts:
        actual = self._actual(target)
        columns, retired = self.state.all_columns(header.table_name)
        named = retired | columns
        dialect = self.transaction.dialect
        rest = table_columns.has(dialect, actual, named, REST)
        marks = table_columns.has(dialect, actual, named, DELETED)
        overflowed = rest if header.overflowed is None else header.overflowed
        loading = header.phase is Phase.LOADING
        had = (header.made_with() or TableSpec()).contract
        declaring = Declaring(self.transaction, target, header.row_keys, want)
        return Facts(
            loading=loading,
            has_columns=len(columns) > len(header.identity.keys),
            overflowed=overflowed,
            marked=marks and self._marked(target, 0),
            marked_since_plan=marks and self._marked(target, header.start_commit),
            mark_taken=table_columns.attribute_of(dialect, named, DELETED) is not None,
            taken=tuple(self._taken(named, replace(want, deletes=Deletes.APPLY))),
            contract=declaring.facts(had, columns, overflowed, loading),
        )

    def _actual(self, target: Target) -> Mapping[str, str]:
        return self.transaction.describe(target).columns

    def _same(self, one: Target, other: Target) -> bool:
        return table_columns.same(self.transaction.dialect, one, other)

    def _marked(self, target: Target, since: int) -> bool:
        """Whether a row is marked as deleted by a commit after `since`."""
        return bool(
            self.transaction.ask(
                f"SELECT 1 AS found FROM {target.sql} WHERE {quoted(DELETED)} "
                f"AND {quoted(COMMIT)} > CAST($1 AS BIGINT) LIMIT 1",
                [since],
            )
        )
