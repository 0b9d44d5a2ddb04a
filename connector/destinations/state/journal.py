"""The record of the work: quarantined records, how columns grew, and what each run did."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from connector.core.cursors import Quarantined
from connector.core.state import Drift, Ran
from connector.destinations.state import tables as t
from connector.destinations.state.header import Header
from connector.destinations.state.tables import Execute, compiled, insert


class Journal:
    """The tables `quarantine`, `drift` and `runs`, in the transaction that `execute` runs in."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def _run(self, statement: sa.sql.expression.ClauseElement) -> list[dict[str, Any]]:
        return self._execute(*compiled(statement))

    def totals(self, header: Header, drift: bool) -> tuple[int, int]:
        """The number of quarantined records of this generation, and how often a column changed.

        A state of an earlier version may have no list of the latter.
        """
        quarantined = (
            _counted(t.quarantine)
            .where(t.quarantine.c.table_name == header.table_name)
            .where(t.quarantine.c.generation == header.generation)
        )
        queries = [quarantined.scalar_subquery().label("quarantined")]
        if drift:
            drifted = _counted(t.drift).where(t.drift.c.table_name == header.table_name)
            queries.append(drifted.scalar_subquery().label("drifted"))
        (row,) = self._run(sa.select(*queries))
        return int(row["quarantined"]), int(row.get("drifted", 0))

    def quarantine(
        self, header: Header, commit: int, records: Sequence[Quarantined], now: datetime
    ) -> int:
        """Stores records that could not be applied; returns how many of them are new."""
        new = self._new(header, records)
        insert(
            self._execute,
            t.quarantine,
            (
                {
                    "table_name": header.table_name,
                    "generation": header.generation,
                    "commit": commit,
                    "partition": record.partition,
                    "sequence": record.sequence,
                    "key": record.key,
                    "reason": record.reason,
                    "raw": record.raw,
                    "quarantined_at": now,
                }
                for record in new
            ),
        )
        return len(new)

    def _new(self, header: Header, records: Sequence[Quarantined]) -> list[Quarantined]:
        # No cursor passes a record without a sequence number: read again, it still counts once.
        new = [record for record in records if record.sequence is not None]
        if len(new) == len(records):
            return new
        known = self._run(
            sa.select(t.quarantine.c.partition, t.quarantine.c.raw)
            .where(t.quarantine.c.table_name == header.table_name)
            .where(t.quarantine.c.generation == header.generation)
            .where(t.quarantine.c.sequence.is_(None))
        )
        there = {(row["partition"], row["raw"]) for row in known}
        unnumbered = {(r.partition, r.raw): r for r in records if r.sequence is None}
        return new + [record for place, record in unnumbered.items() if place not in there]

    def drift(
        self,
        table: str,
        commit: int,
        found: Sequence[Drift],
        now: datetime,
        target: str | None = None,
    ) -> None:
        """Records how the columns of a table, or of one of its targets, have changed."""
        insert(
            self._execute,
            t.drift,
            (
                {
                    "table_name": table,
                    "column": each.column,
                    "from": each.before,
                    "to": each.after,
                    "commit": commit,
                    "at": now,
                    "key": each.key,
                    "target": target,
                }
                for each in found
            ),
        )

    def ran(self, run_id: str, table: str) -> Ran:
        """What a run has committed to a table; the columns that it added are not recorded here."""
        counts = (t.runs.c.commits, t.runs.c.written, t.runs.c.deleted, t.runs.c.quarantined)
        mine = (t.runs.c.run_id == run_id) & (t.runs.c.table_name == table)
        rows = self._run(sa.select(*counts).where(mine))
        return Ran(**rows[0]) if rows else Ran()

    def count(
        self, run: tuple[str, str], table: str, now: datetime, counts: tuple[int, int, int]
    ) -> None:
        """Adds rows written, deleted and quarantined to the run's own row."""
        run_id, command = run
        mine = (t.runs.c.run_id == run_id) & (t.runs.c.table_name == table)
        written, deleted, quarantined = counts
        if self._run(sa.select(t.runs.c.run_id).where(mine)):
            changes = {
                "updated_at": now,
                "commits": t.runs.c.commits + 1,
                "written": t.runs.c.written + written,
                "deleted": t.runs.c.deleted + deleted,
                "quarantined": t.runs.c.quarantined + quarantined,
            }
            self._run(sa.update(t.runs).where(mine).values(changes))
            return
        row = {
            "run_id": run_id,
            "table_name": table,
            "command": command,
            "started_at": now,
            "updated_at": now,
            "commits": 1,
            "written": written,
            "deleted": deleted,
            "quarantined": quarantined,
        }
        self._run(sa.insert(t.runs).values(row))


def _counted(of: sa.Table) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(of)
