"""Whether a table needs a person: noted in its state, and taken back once a run shows otherwise."""

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
    """The problem of one table, as its destination remembers it."""

    table: str
    destination: Destination

    def noted(self, run: Callable[[], TableState]) -> TableState:
        """Runs, and lets the state say whether a person is needed."""
        with self.noting():
            return self.mended(run())

    def mended(self, state: TableState) -> TableState:
        """The state of a run that came to its end, so that no person is needed.

        While a load is outstanding, nobody has shown that it can be done.
        """
        if not state.problem or state.phase is Phase.LOADING:
            return state
        self.destination.note(self.table, None)
        return replace(state, problem=None)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Notes a problem that ends the block, and raises it."""
        try:
            yield
        except (NeedsPerson, DestinationRefused) as needed:
            self._note_problem(needed)
            raise

    def _note_problem(self, needed: ConnectorError) -> None:
        try:
            self.destination.note(self.table, f"{type(needed).__name__}: {needed.message}")
        except ConnectorError:
            if isinstance(needed, NeedsPerson):
                raise
            # A destination that refuses the table may refuse the note as well, for one reason.
            log.debug("%s: its problem could not be noted", self.table)
