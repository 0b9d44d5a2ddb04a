"""One commit or load inside its transaction, for any database."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from connector.core.cursors import Batch, Quarantined
from connector.core.routes.parts import (
    changed_part,
    keys_elsewhere,
    logged_part,
    of_place,
    scanned_part,
)
from connector.core.state import Committed, Drift, Load, Phase
from connector.destinations.commits.step import Step
from connector.destinations.commits.target import Buries, Loaded, TargetCommit
from connector.destinations.database import Transaction
from connector.destinations.history.ended import Ended
from connector.destinations.state.part import Part, parts_of
from connector.destinations.state.store import State
from connector.failpoints import failpoint


class Commit:
    """The next commit of one table. Raises CursorMoved if another generation is current."""

    def __init__(
        self, transaction: Transaction, state: State, of: Batch | Load, run: tuple[str, str]
    ) -> None:
        self._step = Step(state, of, run)
        self._transaction = transaction
        self._state = state
        self._parts = [
            part
            for part in parts_of(transaction.schema, state, self._step.header)
            # No row can leave a table that somebody has dropped.
            if not part.leaving or transaction.taken(part.header.target)
        ]
        self._keys = [key.name for key in self._step.header.row_keys]

    @property
    def _single(self) -> bool:
        """Whether the table has one target, and never had others."""
        return not self._step.header.routed

    def batch(self, batch: Batch) -> Committed:
        """Merges a batch and moves its cursors."""
        self._step.move(batch)
        commits = [self._target(part, self._buries(batch, part)) for part in self._parts]
        counts: list[tuple[int, int]] = []
        for part, commit in zip(self._parts, commits, strict=True):
            self._transaction.at = part.header.target
            counts.append(commit.merge(self._rows_of(part, batch)))
        failpoint("commit.after_merge")
        lost = frozenset[str]().union(*(commit.lost for commit in commits))
        bad = [each for each in batch.quarantined if each.key not in lost]
        written, deleted = (sum(each) for each in zip(*counts, strict=True))
        return self._end(commits, written, deleted, bad, superseded=len(lost))

    def _buries(self, batch: Batch, part: Part) -> Buries:
        loading = self._step.header.phase is Phase.LOADING
        if self._single:
            return Buries.DELETES if batch.buries or loading else Buries.NOTHING
        # A spooled row of an item may be of another target than its newer row. Each target gets
        # every key, so those of one are enough.
        return Buries.EVERYTHING if loading and part is self._parts[0] else Buries.NOTHING

    def _rows_of(self, part: Part, batch: Batch) -> "Batch | _Rows":
        if self._single:
            return batch
        if part.place is None and not part.leaving:
            # Routes led elsewhere before, and there are none now.
            return batch
        if not len(batch.rows):
            return _Rows(batch.rows, log=self._log_of(part, batch))
        rows, place, keys = changed_part(batch.rows, part.place, self._keys), part.place, self._keys
        if place is None:
            return _Rows(rows)
        versions = None if batch.versions is None else scanned_part(batch.versions, place, keys)
        return _Rows(rows, versions, self._log_of(part, batch))

    def _log_of(self, part: Part, batch: Batch) -> pa.Table | None:
        if batch.log is None or part.place is None:
            return None
        log = logged_part(batch.log, part.place)
        return log if len(log) else None

    def load(self, load: Load, rows: Iterable[pa.Table], bad: Sequence[Quarantined]) -> Committed:
        """Loads every spooled row and ends the loading phase."""
        staying = [part for part in self._parts if not part.leaving]
        commits = [self._target(part, Buries.NOTHING) for part in staying]
        done: list[Loaded] = []
        for part, commit in zip(staying, commits, strict=True):
            self._transaction.at = part.header.target
            done.append(commit.load(*self._load_of(part, load, rows)))
        left = self._empty([part for part in self._parts if part.leaving], load)
        if not self._single:
            self._forget()
        self._step.finish(load)
        written = sum(each.written for each in done)
        deleted = sum(each.deleted for each in done) + left
        return self._end(commits, written, deleted, bad, sum(each.streamed for each in done))

    def _load_of(
        self, part: Part, load: Load, rows: Iterable[pa.Table]
    ) -> tuple[Load, Iterable[pa.Table], Iterable[pa.Table]]:
        """The load of one target, its rows, and the keys of those of the others."""
        if part.place is None:
            return load, rows, ()
        place, keys = part.place, self._keys
        mine = replace(
            load,
            schema=of_place(place, load.schema, keys),
            packed=partial(load.packed, of=lambda named: of_place(place, named, keys)),
        )
        others = (keys_elsewhere(each, place, keys) for each in rows)
        return mine, (scanned_part(each, place, keys) for each in rows), others

    def _empty(self, parts: Sequence[Part], load: Load) -> int:
        """Deletes the rows of tables that no route leads to any more, and ends their versions."""
        deleted = 0
        for part in parts:
            self._transaction.at = part.header.target
            kept = self._target(part, Buries.NOTHING).kept
            if kept.spec.history:
                kept.close(load.scanned_until, kept.unseen)
            count = f"SELECT count(*) AS n FROM {part.header.target.sql}"
            deleted += int(self._transaction.ask(count)[0]["n"])
            self._transaction.ask(f"DELETE FROM {part.header.target.sql}")
        return deleted

    def _forget(self) -> None:
        """Forgets the targets that no route leads to any more."""
        table, staying = self._step.header.table_name, self._step.spec.routes.targets
        known = self._state.parts.of(table)
        self._state.parts.drop(table, [name for name in known if name not in staying])
        self._state.update(table, routed=bool(staying))

    def _target(self, part: Part, buries: Buries) -> TargetCommit:
        step = self._step if self._single else self._step.of(part.header)
        if part.leaving:
            history = step.spec.history and Ended(self._transaction, part.header.target).mine()
            step.spec = replace(step.spec, history=history, changes=False)
        name = part.name if part.leaving or part.place is not None else ""
        return TargetCommit(self._transaction, part.state, step, buries, name)

    def _end(
        self,
        commits: Sequence[TargetCommit],
        written: int,
        deleted: int,
        bad: Sequence[Quarantined],
        streamed: int = 0,
        superseded: int = 0,
    ) -> Committed:
        renamed: dict[str, str] = {}
        drift: list[Drift] = []
        misfits: Counter[str] = Counter()
        for commit in commits:
            renamed |= commit.renamed
            found = commit.step.watch.found()
            commit.drifted(found)
            drift += (replace(each, target=commit.name) for each in found)
            misfits.update(commit.step.watch.misfits.found)
        new = sum(commit.step.new_columns for commit in commits)
        return self._step.end(
            written, deleted, bad, new, drift, misfits, renamed, streamed, superseded
        )


@dataclass(frozen=True)
class _Rows:
    """What a batch has for one of several targets."""

    rows: pa.Table
    versions: pa.Table | None = None
    log: pa.Table | None = None
