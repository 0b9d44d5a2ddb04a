"""Repair: writes what the source holds for some keys, in commits like any other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa
from msgspec import Raw

from connector.core.changes.change import ChangePage, Touched
from connector.core.cursors import SHARD, Batch, Quarantined, Span
from connector.core.rows import CHANGED_AT, with_service
from connector.core.spec import TableSpec
from connector.core.state import Phase, TableState
from connector.errors import ConfigError, CursorMoved
from connector.items.encoder import Encoder
from connector.items.fold import Fold
from connector.items.keys import key_item
from connector.items.routed.encoding import Encoding
from connector.pipeline.comparing.items import Find
from connector.pipeline.scan import check_quarantine
from connector.ports import Destination, Lookup

KEYS_AT_ONCE = 400
TRIES = 50
"""How often a commit is tried that another run is always ahead of."""
PARTITION = "verify"
"""What the quarantine says of items that a repair could not store."""

_Portion = tuple[pa.Table, Sequence[Quarantined]]
"""Rows of one commit, and what could not be stored of them."""

_Make = Callable[[TableState], Iterator[_Portion]]
"""The rows to commit to a table as it stands."""


@dataclass(frozen=True)
class Repair:
    """Writes the rows of some keys of one table anew."""

    lookup: Lookup
    destination: Destination
    encoder: Encoding
    quarantine_limit: int
    by_time: bool = False
    """Whether changes are merged by time, so that a late one may be older than a repair."""

    def run(
        self,
        state: TableState,
        keys: Sequence[str],
        gone: Sequence[str] = (),
        find: Find = lambda rows: rows,
    ) -> None:
        """Lets the row of each key, as `core.keys.key_text` spells it, be what its item is.

        Rows of `gone` whose items it cannot `find` either are deleted: their keys are digests, by
        which no item can be looked up. Raises CursorMoved if other runs are faster time after time,
        and ConfigError if the table is not loaded yet.
        """
        refuse_loading(state)
        for at in range(0, len(keys), KEYS_AT_ONCE):
            self._retried(state, partial(self._rows, keys=keys[at : at + KEYS_AT_ONCE]))
        if gone:
            self._retried(state, partial(self._deletes, gone=gone, find=find))

    def _retried(self, state: TableState, make: _Make) -> None:
        for _ in range(TRIES):
            try:
                return self._written(state, make)
            except CursorMoved:
                # A tail has committed since the state was read: what was looked up may be older.
                continue
        raise CursorMoved(
            f"Another run of {state.table} commits too often for a repair.",
            "Stop it, or run the same command again.",
        )

    def _written(self, planned: TableState, make: _Make) -> None:
        """Looks up and commits, if no shard has moved in between."""
        state = self.destination.read(planned.table)
        if state is None or state.plan_id != planned.plan_id:
            raise CursorMoved(
                f"Another run started {planned.table} anew.", "Run the same command again."
            )
        for rows, bad in make(state):
            # As in a tail: items are read by the table's name.
            self.lookup.confirm(state.identity)
            check_quarantine(self.quarantine_limit, bad, state.quarantined)
            self.destination.commit(
                Batch(
                    table=state.table,
                    generation=state.generation,
                    plan_id=state.plan_id,
                    spans=list(_standing(state)),
                    rows=rows,
                    quarantined=bad,
                    spec=state.spec,
                    buries=self.by_time,
                )
            )

    def _rows(self, state: TableState, keys: Sequence[str]) -> Iterator[_Portion]:
        fold = self._fold(state, keys)
        for rows in fold.looked_up(self.lookup.items):
            bad, fold.quarantined = fold.quarantined, []
            yield rows, bad

    def _deletes(self, state: TableState, gone: Sequence[str], find: Find) -> Iterator[_Portion]:
        # The state was read first: an item that is put after it was looked for moves a shard.
        there = find(gone)
        left = [text for text in gone if text not in there]
        keys = self.encoder.ruling.row_keys if self.encoder.ruling else state.identity.keys
        rows = Encoder(keys).encode([key_item(keys, text) for text in left]).rows
        now = pa.array([self.lookup.now()] * len(left), CHANGED_AT.type)
        yield with_service(rows, now, [True] * len(left)), []

    def _fold(self, state: TableState, keys: Sequence[str]) -> Fold:
        now = self.lookup.now()
        spec = state.spec or TableSpec()
        fold = Fold(state.identity.keys, self.encoder, spec.deletes)
        touched = [
            Touched(Raw(key_item(state.identity.keys, key)), now.timestamp(), raw=key)
            for key in keys
        ]
        fold.add(PARTITION, ChangePage(touched, token=None, asked_at=now, ordinary=True))
        return fold


def _standing(state: TableState) -> Iterator[Span]:
    """Where each shard stands that may still move; a commit there moves none of them."""
    for name, cursor in state.shards.items():
        if not cursor.done:
            # When it was last seen stays as it is stored by then.
            yield Span(SHARD + name, cursor, replace(cursor, seen_at=None))


def refuse_loading(state: TableState) -> None:
    """Raises ConfigError if a table has no snapshot yet."""
    if state.phase is Phase.LOADING:
        raise ConfigError(
            f"{state.table} is not loaded yet, so there is nothing to repair.",
            f"Run `connector sync {state.table}` first.",
        )
