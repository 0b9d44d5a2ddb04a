"""The state's part of a commit: cursors are compared and moved, and rows are counted."""

from collections.abc import Mapping, Sequence
from copy import copy

from connector.core.cursors import Batch, Cursor, Quarantined
from connector.core.spec import TableSpec
from connector.core.state import Committed, Drift, Load, Phase, Plan
from connector.core.words import counted
from connector.destinations.history.places import all_of
from connector.destinations.sql import Target
from connector.destinations.state.header import Header, whole_seconds
from connector.destinations.state.store import State
from connector.destinations.table import columns as table_columns
from connector.destinations.table.dialect import Dialect
from connector.destinations.table.drift import Watch
from connector.errors import CursorMoved, DestinationRefused, TooManyDeletes
from connector.stop import MACHINE, Clock


def moved(table: str) -> CursorMoved:
    """The error for a batch that does not begin at the table's current cursors."""
    return CursorMoved(
        f"Another run has advanced {table}; nothing was written.", "Run the same command again."
    )


def refuse_shared(
    dialect: Dialect,
    state: State,
    table: str,
    arn: str,
    target: Target,
    spec: TableSpec | None = None,
) -> None:
    """Raises DestinationRefused if another source table has the same target.

    What is kept beside a table counts as well.
    """
    mine = all_of(target, spec)
    for other, theirs in state.targets().items():
        if other == table:
            continue
        header = state.header(other)
        made = header.made_with() if header else None
        places = [place for each in theirs for place in all_of(each, made)]
        shared = [p for p in mine if any(table_columns.same(dialect, p, each) for each in places)]
        if not shared:
            continue
        target = shared[0]
        if header and header.identity.table_arn == arn:
            raise DestinationRefused(
                f"{table} has its state here under another name, {other}.",
                f"Call it {other} as before, or forget that state and keep the rows: "
                f"`connector reset {other}`.",
            )
        raise DestinationRefused(
            f"The tables {other} and {table} would both go to {target}.",
            f"Give one of them another name with `into`; if {other} is no longer replicated, "
            f"`connector reset {other}` forgets it.",
        )


def check_key(before: Header, plan: Plan) -> None:
    """Raises DestinationRefused if a new generation's key differs from the current one's."""
    if before.identity.keys != plan.identity.keys:
        raise DestinationRefused(
            f"The key of {plan.table} has changed.",
            f"Run `connector reset {plan.table} --drop` and take a new snapshot.",
        )
    if before.row_keys != plan.row_keys:
        raise DestinationRefused(
            f"The key of {plan.table} is hashed from now on, or no longer, and its column holds "
            "values of another type.",
            f"Run `connector reset {plan.table} --drop` and take a new snapshot.",
        )


def unknown(table: str) -> DestinationRefused:
    """The error for a table without a state."""
    return DestinationRefused(f"There is no table {table} here yet.", "Run `connector sync` first.")


def too_many(vanishing: int, earlier: int, max_deleted: float | None) -> bool:
    """Whether a larger share of earlier rows than allowed would vanish."""
    return max_deleted is not None and vanishing > earlier * max_deleted


def refuse_too_many(
    table: str, target: Target, vanishing: int, earlier: int, max_deleted: float | None
) -> None:
    """Raises TooManyDeletes if a larger share of earlier rows than allowed would vanish."""
    if too_many(vanishing, earlier, max_deleted):
        raise TooManyDeletes(
            f"{vanishing} of {counted(earlier, 'row')} of {target} "
            f"{'is' if vanishing == 1 else 'are'} no longer in {table}; "
            f"only {max_deleted or 0:.0%} may vanish at once.",
            f"If that is right, run `connector snapshot {table} --yes` (in Airflow, the same DAG "
            "with `yes`); until then, the rows stay as they were.",
        )


class Step:
    """One batch or load in its transaction. Raises CursorMoved if another plan is current."""

    def __init__(
        self, state: State, of: Batch | Load, run: tuple[str, str], clock: Clock = MACHINE
    ) -> None:
        header = state.header(of.table) if state.exists() else None
        if header is None or (header.generation, header.plan_id) != (of.generation, of.plan_id):
            raise moved(of.table)
        if isinstance(of, Load) and header.phase is not Phase.LOADING:
            raise moved(of.table)
        spec = header.made_with()
        if isinstance(of, Batch) and None not in (spec, of.spec) and spec != of.spec:
            raise moved(of.table)
        self.spec = spec or TableSpec()
        self.header: Header = header
        self.number = header.commit + 1
        self._state = state
        self._run = run
        self.new_columns = 0
        self.loading = isinstance(of, Load)
        self.watch = Watch()
        """Watches the rows of this step, once its columns are grown."""
        self.now = clock.now()
        self._changes: dict[str, object] = {}
        """What becomes of the table's row at the end."""

    def of(self, header: Header) -> "Step":
        """The same step, for one of several targets."""
        step = copy(self)
        step.header, step.new_columns, step.watch = header, 0, Watch()
        return step

    def move(self, batch: Batch) -> None:
        """Moves a batch's cursors. Raises CursorMoved if they are not where it began."""
        stored = self._state.cursors(batch.table, [span.partition for span in batch.spans])
        until: dict[str, Cursor] = {}
        for span in batch.spans:
            before = stored.get(span.partition)
            if before != span.since or span.partition in until:
                raise moved(batch.table)
            until[span.partition] = Cursor(
                token=span.until.token,
                done=span.until.done,
                seen_at=span.until.seen_at or (before.seen_at if before else None),
                parent=span.until.parent or (before.parent if before else None),
                adjacent=span.until.adjacent or (before.adjacent if before else None),
            )
        self._state.move(batch.table, until)
        if batch.forgotten:
            self._state.drop_cursors(batch.table, batch.forgotten)
        if batch.consistent_since and not self.header.consistent_since:
            self._changes["consistent_since"] = batch.consistent_since
        if batch.retention not in (None, self.header.lasts):
            assert batch.retention is not None
            self._changes["retention"] = whole_seconds(batch.retention)
        # While loading, tombstones also keep spooled rows away.
        if batch.unburied and self.header.phase is Phase.TAILING:
            self._state.tombstones.drop(batch.table, batch.unburied)

    def finish(self, load: Load) -> None:
        """Ends the loading phase: every segment is done, and tombstones are no longer needed.

        If changes are merged by time, a late one may still be older than a tombstone.
        """
        self._state.finish(load.table, load.partitions)
        if not load.by_time:
            self._state.tombstones.drop(load.table)
        self._changes |= {
            "phase": Phase.TAILING.value,
            "scanned_until": load.scanned_until,
            "loaded_at": self.now,
        }

    def end(
        self,
        written: int,
        deleted: int,
        bad: Sequence[Quarantined],
        new_columns: int,
        drift: Sequence[Drift],
        misfits: Mapping[str, int],
        renamed: Mapping[str, str],
        streamed: int = 0,
        superseded: int = 0,
    ) -> Committed:
        """Quarantines records that could not be stored, and counts the work."""
        table = self.header.table_name
        changes = {**self._changes, "commit": self.number, "committed_at": self.now}
        self._state.update(table, **changes)
        quarantined = self._state.journal.quarantine(self.header, self.number, bad, self.now)
        counts = (written, deleted, quarantined)
        self._state.journal.count(self._run, table, self.now, counts)
        return Committed(
            self.number, *counts, new_columns, streamed, renamed, drift, superseded, misfits
        )
