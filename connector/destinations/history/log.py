"""The table of all changes of a replicated table, which only grows."""

from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa

from connector.core.cursors import GAP, MOVED, Cursor, carried
from connector.core.keys import KeySchema
from connector.core.modes.log import LOG
from connector.core.names import CHANGED_AT, COMMIT
from connector.core.rows import conform
from connector.core.schema import BOOLEAN, INTEGER, JSON, STRING, Type
from connector.core.state import Column, Plan
from connector.destinations.database import Transaction
from connector.destinations.history.places import changed, changes_of, taken
from connector.destinations.sql import STAGED_LOG, Target, quoted
from connector.destinations.state.header import Header
from connector.destinations.state.store import State
from connector.destinations.table import columns as table_columns

_TYPES: Mapping[pa.DataType, Type] = {pa.string(): STRING, pa.bool_(): BOOLEAN, pa.json_(): JSON}


class Log:
    """`T__changes` of one table, inside a transaction."""

    def __init__(self, transaction: Transaction, table: Target, keys: KeySchema) -> None:
        self._transaction = transaction
        self._table = table
        self._keys = keys
        self.target = changes_of(table)

    def create(self, columns: Mapping[str, Column]) -> None:
        """Creates the table unless it is there. Raises DestinationRefused if another one is."""
        if self._transaction.taken(self.target):
            if not self.mine():
                raise taken(self._table, [self.target])
            self.follow(columns)
            return
        dialect = self._transaction.dialect
        keys = {columns[key.name].name: columns[key.name].type for key in self._keys}
        types = {name: dialect.type_of(type_) for name, type_ in keys.items()} | self._service()
        body = ", ".join(f"{quoted(name)} {sql}" for name, sql in types.items())
        self._transaction.ask(f"CREATE TABLE {self.target.sql} ({body})")

    def mine(self) -> bool:
        """Whether the table is there, and is such a table."""
        found = self._transaction.looked_at(self.target)
        return all(found.get(name) == sql for name, sql in self._service().items())

    def _service(self) -> dict[str, str]:
        dialect = self._transaction.dialect
        types = {
            field.name: dialect.service[CHANGED_AT]
            if field.name == CHANGED_AT
            else dialect.type_of(_TYPES[field.type])
            for field in LOG
        }
        return types | {COMMIT: dialect.type_of(INTEGER)}

    def positions(self) -> dict[str, Cursor]:
        """Up to where each partition was written."""
        rows = self._transaction.ask(
            "SELECT _partition AS partition, max(lpad(_sequence, 128, '0')) AS sequence "
            f"FROM {self.target.sql} GROUP BY _partition"
        )
        return {row["partition"]: Cursor(row["sequence"].lstrip("0") or "0") for row in rows}

    def follow(self, columns: Mapping[str, Column]) -> None:
        """Widens the key's columns as those of the table were."""
        found = self._found()
        dialect = self._transaction.dialect
        for key in self._keys:
            column = columns[key.name]
            have = found.get(column.name)
            if have is None:
                raise changed(self._table, self.target, f"{column.name!r} is gone")
            if have != dialect.type_of(column.type):
                old = dialect.adopted_key(key.tag).get(have)
                if old is None:
                    raise changed(self._table, self.target, f"{column.name!r} is {have}")
                self._transaction.widen(self.target, Column(column.name, old), column.type)

    def _found(self) -> Mapping[str, str]:
        found = self._transaction.describe(self.target).columns
        if not found:
            raise changed(self._table, self.target, "it was dropped or renamed")
        return found

    def check(self, columns: Mapping[str, Column]) -> None:
        """Raises DestinationRefused if it is not as it was made."""
        type_of = self._transaction.dialect.type_of
        keys = [columns[key.name] for key in self._keys]
        want = {column.name: type_of(column.type) for column in keys} | self._service()
        if how := table_columns.differences(self._found(), want):
            raise changed(self._table, self.target, how)

    def add(self, rows: pa.Table, columns: Mapping[str, Column], commit: int) -> None:
        """Appends the rows of one commit."""
        self.check(columns)
        types = {key.name: columns[key.name].type for key in self._keys}
        staged = conform(rows, types, list(LOG))
        names = [f"c{place}" for place in range(len(types))]
        staged = staged.rename_columns([*names, *LOG.names])
        values = dict(zip((columns[key.name].name for key in self._keys), names, strict=True))
        values |= {name: name for name in LOG.names}
        kinds = [*types.values(), *(_TYPES.get(field.type) for field in LOG)]
        sent = [
            f"{STAGED_LOG}.{name}"
            if type_ is None
            else self._transaction.dialect.staged(f"{STAGED_LOG}.{name}", type_)
            for name, type_ in zip(values.values(), kinds, strict=True)
        ]
        with self._transaction.staged(staged, STAGED_LOG):
            self._transaction.insert(
                self.target,
                f"{', '.join(map(quoted, values))}, {quoted(COMMIT)}",
                f"SELECT {', '.join(sent)}, CAST($1 AS BIGINT) FROM {STAGED_LOG}",
                [commit],
            )


def begun(
    plan: Plan, transaction: Transaction, state: State, table: Target, before: Header | None
) -> Plan:
    """The plan, with what must be known of what was read before it.

    Without a state, that is what a log shows that is there already.
    """
    if not plan.spec.recorded:
        return plan
    log = Log(transaction, table, plan.row_keys)
    if before is not None:
        known = state.cursors(plan.table)
    else:
        known = log.positions() if plan.spec.changes and log.mine() else {}
    gap = {GAP: Cursor(done=True)} if plan.after_gap else {}
    gap |= {MOVED: plan.moved} if plan.moved else {}
    return replace(
        plan, cursors={**plan.cursors, **gap, **carried(known, plan.cursors, plan.planned_at)}
    )
