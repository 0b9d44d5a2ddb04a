"""What is still unread of a stream, read before a table with a history is compared with a new scan.

Only its records say what an item was in between. Once a row is replaced by what a scan has, a
version that an unread record shows would come too late.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from connector.core.state import Identity, TableState
from connector.errors import Fatal, HistoryLost
from connector.pipeline.following.tail import Tail
from connector.pipeline.problems import Problems
from connector.ports import Changes, Destination, Lookup
from connector.stop import Stop

log = logging.getLogger("connector.sync")


@dataclass(frozen=True)
class Unread:
    """The unread changes of one table, if versions are made of them."""

    table: str
    changes: Changes | None
    lookup: Lookup
    destination: Destination
    tail_of: Callable[[TableState], Tail]
    stop: Stop

    def before_plan(self, plan_id: str | None) -> None:
        """Reads what the present generation has not read, before another one replaces it.

        What can no longer be read is left to the plan, which says that it was lost.
        """
        state = self.destination.read(self.table)
        if state is None or state.plan_id == plan_id or not self._versions(state):
            return
        if not _same_stream(state.identity, self.lookup.describe().identity):
            return
        try:
            with self.tail_of(state) as tail:
                self._read_on(tail)
        except HistoryLost as lost:
            Problems(self.table, self.destination).note(lost)
        except Fatal as error:
            log.warning(
                "%s: versions since it was last read are not kept, since its changes cannot be "
                "read any further: %s",
                self.table,
                error.message,
            )

    def before_load(self, state: TableState, tail: Tail | None) -> None:
        """Reads all that a scan may have seen, before it replaces rows of earlier generations."""
        if state.generation == 1 or not self._versions(state):
            return
        if tail is not None:
            current = self.destination.read(self.table)
            tail.restart(current or state)
            self._read_on(tail)
            return
        with self.tail_of(state) as own:
            self._read_on(own)

    def _read_on(self, tail: Tail) -> None:
        tail.until(tail.caught_up)
        self.stop.check(self.table)

    def _versions(self, state: TableState) -> bool:
        return self.changes is not None and state.spec is not None and state.spec.history


def _same_stream(one: Identity, other: Identity) -> bool:
    return (one.table_id, one.stream_arn) == (other.table_id, other.stream_arn)
