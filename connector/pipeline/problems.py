"""Notes in a table's state that it needs a person, and clears the note after a good run."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from connector.core.state import Phase, TableState
from connector.errors import ConnectorError, DestinationRefused, NeedsPerson
from connector.ports import Destination

log = logging.getLogger("connector.sync")


@dataclass(frozen=True)
class Problems:
    """The problem of one table, as stored in its destination."""

    table: str
    destination: Destination

    def noted(self, run: Callable[[], TableState]) -> TableState:
        """Runs, and notes or clears the problem depending on the outcome."""
        with self.noting():
            return self.cleared(run())

    def cleared(self, state: TableState) -> TableState:
        """The state after a good run, with its problem cleared.

        While a load is outstanding, a problem may still prevent it, so it stays.
        """
        if not state.problem or state.phase is Phase.LOADING:
            return state
        self.destination.note(self.table, None)
        return replace(state, problem=None)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Notes a problem that ends the block, and raises it again."""
        try:
            yield
        except (NeedsPerson, DestinationRefused) as needed:
            self.note(needed)
            raise

    def note(self, needed: ConnectorError) -> None:
        """Notes a problem; a destination that refuses it only keeps no note."""
        try:
            self.destination.note(self.table, f"{type(needed).__name__}: {needed.message}")
        except ConnectorError:
            if isinstance(needed, NeedsPerson):
                raise
            # A destination that refuses the table may refuse the note for the same reason.
            log.debug("%s: its problem could not be noted", self.table)
