"""A turn at a DuckDB file in which this process has it closed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from connector.destinations.duckdb.session.errors import is_locked
from connector.destinations.duckdb.session.gate import Gate
from connector.errors import Transient

if TYPE_CHECKING:
    from connector.destinations.duckdb.session.connection import DuckDBFile


@dataclass(frozen=True)
class Alone:
    """What may be done with the file in such a turn.

    Only in one may a descriptor of the file be closed: that ends every lock that this process has
    on it, and with them those of DuckDB.
    """

    file: "DuckDBFile"
    gate: Gate

    @contextmanager
    def locked(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that reads, while no other process can write."""
        opened = self.file.connect(True, self.gate, time.monotonic())
        try:
            yield opened.connection
        except BaseException:
            self.gate.drop(opened)
            raise
        self.gate.close(opened)

    def checkpoint(self) -> None:
        """Moves what is in the log into the file. Raises Transient if that is not possible now."""
        if not self._has_log():
            return
        self.gate.close(self.file.connect(False, self.gate, time.monotonic()))
        if self._has_log():
            raise Transient(
                f"DuckDB could not move the log of {self.file.path.name} into the file.",
                "Nothing is lost. Check that its disk has room.",
            )

    def checkpoint_if_free(self) -> None:
        """The same, unless another process has the file open, which does not matter."""
        if not self._has_log():
            return
        try:
            self.gate.close(self.file.connect_now(False, self.gate))
        except duckdb.Error as error:
            if not is_locked(error):
                raise

    def hold_checkpoints(self, held: bool) -> None:
        """Decides whether commits of this process stay in the log for now.

        Then they leave what was in the file at its last checkpoint as it is.
        """
        self.gate.checkpoints = not held

    def _has_log(self) -> bool:
        return Path(f"{self.file.path}.wal").exists()
