"""Mending: what a stream no longer has is filled in from elsewhere, and the rows stay."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from uuid import uuid4

from connector.core.changes.filler import Filler
from connector.core.changes.shards import EARLIER, read_through
from connector.core.state import Identity, Mend, Phase, TableState
from connector.errors import (
    WAYS_OUT,
    ConfigError,
    HistoryLost,
    ShardGone,
    StreamDisabled,
    WindowsMissing,
    no_stream,
    ways_out,
)
from connector.failpoints import failpoint
from connector.pipeline.following.discovery import settled_listing
from connector.pipeline.plan import filled
from connector.ports import Changes, Destination, Lookup
from connector.stop import Stop

log = logging.getLogger("connector.repair")

Lost = TypeVar("Lost", HistoryLost, StreamDisabled)

WIDER = timedelta(minutes=15)
"""By how much more than what was lost is filled in, on both sides."""
_LOST = tuple(f"{kind.__name__}: " for kind in (HistoryLost, ShardGone, WindowsMissing))


@dataclass(frozen=True)
class Mending:
    """A table whose stream may have lost changes, and what has them."""

    table: str
    lookup: Lookup
    changes: Changes | None
    filler: Filler | None
    destination: Destination
    stop: Stop

    def around(
        self, step: Callable[[], TableState], again: Callable[[], TableState], on_gap: str
    ) -> TableState:
        """Runs a step, and does what `on_gap` says if history was lost: runs `again`, or mends."""
        try:
            return step()
        except StreamDisabled as off:
            raise self._told(off) from off
        except HistoryLost as found:
            lost = self._told(found)
            if on_gap == "fail":
                raise lost from found
            if on_gap == "repair":
                self.mend(lost)
                return step()
            log.warning("%s: %s The whole table is read again.", self.table, lost.message)
        return again()

    def repaired(self, follow: Callable[[], TableState]) -> TableState:
        """Follows the table, once it is mended if it needs that; does nothing if nothing was lost.

        Raises ConfigError for a table that was never read, and HistoryLost if it cannot be mended.
        """
        state = self._begun()
        return self.around(follow, follow, "repair") if state is None else state

    def _begun(self) -> TableState | None:
        """Mends the table if it is known to need that; its state if nothing has to be read now."""
        state = self.destination.read(self.table)
        if state is None:
            raise ConfigError(
                f"{self.table} was never synced here, so there is nothing to repair.",
                f"Run `connector sync {self.table}`.",
            )
        lost = self._lost(state)
        if lost is not None and self.filler is not None:
            self.mend(lost)
        elif lost is None and not _under_way(state) and self._whole(state):
            log.info("%s: no changes were lost; nothing is to be repaired", self.table)
            return state
        return None

    def _whole(self, state: TableState) -> bool:
        """Whether everything is certainly still there that no run has read yet."""
        assert self.changes is not None
        read, now = read_through(state.shards), self.changes.now()
        return self.changes.retention.nothing_trimmed(read, now)

    def _told(self, lost: Lost) -> Lost:
        """What was lost, with what can be done about it for this table."""
        ways = ways_out(self.table, self.filler is not None)
        hint = lost.hint.replace(WAYS_OUT, ways).replace("TABLE", self.table)
        return type(lost)(lost.message, hint)

    def _lost(self, state: TableState) -> HistoryLost | None:
        try:
            self.lookup.confirm(state.identity)
        except HistoryLost as lost:
            return lost
        problem = state.problem or ""
        if not problem.startswith(_LOST):
            return None
        return HistoryLost(problem.partition(": ")[2], WAYS_OUT)

    def mend(self, lost: HistoryLost) -> None:
        """Lets the table go on from the window that was lost, and then from its stream's horizon.

        Raises what was lost if that is more than a part of the stream.
        """
        state = self.destination.read(self.table)
        description = self.lookup.describe()
        if self.filler is None or self.changes is None or state is None:
            raise self._told(lost)
        if not _same_table(state, description.identity):
            raise HistoryLost(lost.message, ways_out(self.table, fillable=False))
        _refuse(state, lost)
        if not description.streaming:
            raise no_stream(self.table)
        listing, now = settled_listing(self.changes, self.stop), self.lookup.now()
        seen = read_through(state.shards) or state.planned_at
        begin = seen.replace(microsecond=0) - WIDER
        end = self.changes.retention.readable(listing.since, now) + WIDER
        found = self.filler.earlier(description.identity, begin, end, exact=False)
        assert found is not None
        failpoint("mend.before_plan")
        self.destination.mend(
            Mend(
                table=self.table,
                identity=description.identity,
                replaces=state.plan_id,
                plan_id=uuid4().hex,
                cursors=filled(*found, listing),
            )
        )
        log.warning(
            "%s: %s What was lost since %s is read from exports, then the stream from its horizon.",
            self.table,
            lost.message,
            begin.isoformat(timespec="seconds"),
        )


def _under_way(state: TableState) -> bool:
    return any(name.startswith(EARLIER) and not c.done for name, c in state.shards.items())


def _same_table(state: TableState, now: Identity) -> bool:
    had = state.identity
    return (had.table_arn, had.table_id, had.keys) == (now.table_arn, now.table_id, now.keys)


def _refuse(state: TableState, lost: HistoryLost) -> None:
    """Raises HistoryLost for a table that only a full refresh can bring up to date."""
    if state.phase is Phase.LOADING:
        raise HistoryLost(
            f"{lost.message} The table is not loaded yet, so it cannot be repaired.",
            f"Run `connector snapshot {state.table} --full-refresh`.",
        )
    if state.spec is not None and state.spec.rules.hides_keys(state.identity.keys):
        raise HistoryLost(
            f"{lost.message} The key of {state.table} is hashed, so what exports leave out "
            "cannot be looked up, and it cannot be repaired.",
            f"Run `connector snapshot {state.table} --full-refresh`.",
        )
