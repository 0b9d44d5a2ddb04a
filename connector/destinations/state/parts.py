"""The targets of a table that routes lead to, and their columns: every statement on them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from connector.core.state import Column
from connector.destinations.sql import Target
from connector.destinations.state import tables as t
from connector.destinations.state.attributes import column_rows, columns_of_rows
from connector.destinations.state.tables import Execute, compiled, insert


class Parts:
    """The tables `targets` and `target_columns`, in the transaction that `execute` runs in."""

    def __init__(self, execute: Execute, database: str = "") -> None:
        self._execute = execute
        self._database = database

    def _run(self, statement: sa.sql.expression.ClauseElement) -> list[dict[str, Any]]:
        return self._execute(*compiled(statement))

    def of(self, table: str) -> dict[str, dict[str, Any]]:
        """The rows of `targets` of a table by the names of the targets, in order."""
        query = sa.select(t.targets).where(t.targets.c.table_name == table)
        return {row["target"]: row for row in self._run(query.order_by(t.targets.c.position))}

    def every(self) -> dict[str, list[Target]]:
        """The targets of every table that has several, or had others before."""
        found: dict[str, list[Target]] = {}
        for row in self._run(sa.select(t.targets).order_by(t.targets.c.position)):
            place = Target(row["target_schema"], row["target_name"], self._database)
            found.setdefault(row["table_name"], []).append(place)
        return found

    def save(self, table: str, targets: Iterable[tuple[Target, bool]]) -> None:
        """Replaces the targets of a table; each may be retired, so that rows only leave it."""
        self._run(sa.delete(t.targets).where(t.targets.c.table_name == table))
        insert(
            self._execute,
            t.targets,
            (
                {
                    "table_name": table,
                    "target": target.name,
                    "target_schema": target.schema,
                    "target_name": target.name,
                    "position": position,
                    "retired": retired,
                    "overflowed": False,
                }
                for position, (target, retired) in enumerate(targets)
            ),
        )

    def update(self, table: str, target: str, **changes: Any) -> None:
        """Changes columns of a target's row."""
        mine = (t.targets.c.table_name == table) & (t.targets.c.target == target)
        self._run(sa.update(t.targets).where(mine).values(**changes))

    def columns(self, table: str, target: str) -> tuple[dict[str, Column], dict[str, Column]]:
        """The columns of a target in use, and the retired ones."""
        query = sa.select(t.target_columns).where(t.target_columns.c.table_name == table)
        query = query.where(t.target_columns.c.target == target)
        return columns_of_rows(self._run(query.order_by(t.target_columns.c.position)))

    def save_columns(
        self,
        table: str,
        target: str,
        columns: Mapping[str, Column],
        retired: Mapping[str, Column],
    ) -> None:
        """Replaces the map from attributes to columns of a target."""
        mine = (t.target_columns.c.table_name == table) & (t.target_columns.c.target == target)
        self._run(sa.delete(t.target_columns).where(mine))
        rows = column_rows(table, columns, retired)
        insert(self._execute, t.target_columns, ({**row, "target": target} for row in rows))

    def drop(self, table: str, targets: Sequence[str] | None = None) -> None:
        """Forgets targets of a table, or all of them."""
        for each in (t.targets, t.target_columns):
            deletion = sa.delete(each).where(each.c.table_name == table)
            if targets is not None:
                deletion = deletion.where(each.c.target.in_(targets))
            self._run(deletion)
