"""The keys of deleted items, as long as something older may come."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from connector.core.changes.times import micros
from connector.destinations.state import tables as t
from connector.destinations.state.tables import Execute, compiled


class Tombstones:
    """Every statement on the tombstones, inside the transaction of `execute`."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def _run(self, statement: sa.sql.expression.ClauseElement) -> list[dict[str, Any]]:
        return self._execute(*compiled(statement))

    def bury(self, table: str, staged: str, commit: int) -> None:
        """Adds one for each row of the staged table, which has `key` and `micros`."""
        keys: Any = sa.select(
            sa.literal(table),
            sa.column("key"),
            sa.literal(commit, sa.BigInteger),
            sa.column("micros"),
        )
        self._run(
            sa.insert(t.tombstones).from_select(
                ["table_name", "key", "commit", "micros"], keys.select_from(sa.table(staged))
            )
        )

    def drop(self, table: str, before: datetime | None = None) -> None:
        """Drops those of a table, or of items that were deleted before a time."""
        deletion = sa.delete(t.tombstones).where(t.tombstones.c.table_name == table)
        if before is not None:
            deletion = deletion.where(t.tombstones.c.micros < micros(before))
        self._run(deletion)

    def any(self, table: str) -> bool:
        """Whether the table has one."""
        query = sa.select(t.tombstones.c.commit).where(t.tombstones.c.table_name == table)
        return bool(self._run(query.limit(1)))

    def not_older(self, table: str, staged: str) -> list[dict[str, Any]]:
        """Those that are not older than staged rows: the row's `place`, if it is `newer`, and `at`.

        The staged table has `place`, `key`, and the bounds of its time: `in_second`,
        `in_millisecond`, `made`, `high`.
        """
        names = ("place", "key", "in_second", "in_millisecond", "made", "high")
        rows = sa.table(staged, *map(sa.column, names)).alias("s")
        d = t.tombstones.alias("d")
        conflict = sa.or_(
            d.c.micros.in_((rows.c.in_second, rows.c.in_millisecond)), d.c.micros >= rows.c.made
        )
        return self._run(
            sa.select(
                rows.c.place, (d.c.micros > rows.c.high).label("newer"), d.c.micros.label("at")
            )
            .select_from(d.join(rows, d.c.key == rows.c.key))
            .where(d.c.table_name == table)
            .where(conflict)
        )
