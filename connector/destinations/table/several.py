"""Begins and changes all targets of a table in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from connector.core.spec import TableSpec, check_routes
from connector.core.state import Plan
from connector.destinations.commits.step import unknown
from connector.destinations.database import Transaction
from connector.destinations.history.kept import keep, keep_on
from connector.destinations.sql import Target
from connector.destinations.state.header import Header, spelled
from connector.destinations.state.part import Part, PartState, parts_of
from connector.destinations.state.store import State
from connector.destinations.table import columns as table_columns
from connector.destinations.table.reshape import Reshape


@dataclass(frozen=True)
class Targets:
    """The targets of one table: its only one, or those that its routes lead to."""

    transaction: Transaction
    state: State

    def begin(self, plan: Plan, targets: Sequence[Target], before: Header | None) -> bool:
        """Prepares every target for a new generation; whether there are several, or were before.

        Tables that no route leads to any more keep their rows until the load.
        """
        had = self._had(before)
        if not plan.spec.routes and not (before and before.routed):
            Reshape(self.transaction, self.state).begin(plan, targets[0], before, had)
            return False
        old = {part.name: part.state.all_columns(plan.table) for part in had}
        for target in targets:
            self.transaction.at = target
            mine = [part for part in had if self._same(part.header.target, target)]
            own: State = PartState(self.transaction.schema, plan.table, target.name)
            state = own if plan.spec.routes else self.state
            header = mine[0].header if mine else None
            Reshape(self.transaction, state).begin(plan, target, header, mine)
        left = [part for part in had if not self._is_among(part, targets)]
        for part in left:
            self.state.parts.save_columns(plan.table, part.name, *old[part.name])
        if plan.spec.routes:
            self.state.save_columns(plan.table, {}, {})
        leaving = [(part.header.target, True) for part in left]
        named = [(target, False) for target in targets] if plan.spec.routes else []
        self.state.parts.save(plan.table, [*named, *leaving])
        return bool(named or leaving)

    def _had(self, before: Header | None) -> list[Part]:
        """The present targets; tables that are gone have no rows that could leave them."""
        if before is None:
            return []
        parts = parts_of(self.transaction.schema, self.state, before)
        return [p for p in parts if not p.leaving or self.transaction.taken(p.header.target)]

    def _is_among(self, part: Part, targets: Sequence[Target]) -> bool:
        return any(self._same(part.header.target, target) for target in targets)

    def _same(self, one: Target, other: Target) -> bool:
        return table_columns.same(self.transaction.dialect, one, other)

    def reconfigure(self, table: str, targets: Sequence[Target], spec: TableSpec) -> None:
        """Applies a changed configuration. After a ConfigError the transaction is rolled back."""
        header = self.state.header(table) if self.state.exists() else None
        if header is None:
            raise unknown(table)
        check_routes(table, (header.made_with() or TableSpec()).routes, spec.routes)
        parts = parts_of(self.transaction.schema, self.state, header)
        places = dict(zip(spec.routes.targets, targets, strict=False))
        for part in parts:
            leaving = part.header.target.beside(targets[0].schema, part.name)
            self.transaction.at = part.header.target
            wanted = leaving if part.leaving else places.get(part.name, targets[0])
            if not part.leaving or self.transaction.taken(part.header.target):
                Reshape(self.transaction, part.state).reconfigure(table, wanted, spec)
        self.state.update(table, spec=spelled(spec))
        if spec.routes:
            first = targets[0]
            self.state.update(table, target_schema=first.schema, target_name=first.name)
        keep_each(self.transaction, self.state, table, header)


def keep_each(transaction: Transaction, state: State, table: str, before: Header | None) -> None:
    """Makes what the spec of a table keeps beside each of its targets."""
    header = state.header(table)
    assert header is not None
    for part in parts_of(transaction.schema, state, header):
        transaction.at = part.header.target
        if not part.leaving:
            keep(transaction, part.state, part.header, before)
        elif transaction.taken(part.header.target):
            keep_on(transaction, part.state, part.header, before)
