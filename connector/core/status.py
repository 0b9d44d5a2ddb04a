"""Where a table stands, for both the command line and Airflow."""

from dataclasses import dataclass
from datetime import datetime

from connector.core.changes.shards import Retention, read_through
from connector.core.state import Phase, TableState
from connector.core.words import lasting
from connector.errors import NeedsPerson

NEVER_SYNCED = "never synced"
LOADED = "loaded"
"""The phase of a table that was read whole, and whose changes nobody follows."""


@dataclass(frozen=True)
class Lag:
    """How far behind a table is, and the time until changes may be lost; both in seconds."""

    seconds: float
    to_data_loss: float

    @classmethod
    def of(cls, state: TableState, now: datetime, retention: Retention) -> "Lag | None":
        """The lag of the slowest shard that must be read; None if nothing is known."""
        seen = read_through(state.shards)
        if seen is None:
            return None
        behind = max((now - seen).total_seconds(), 0.0)
        return cls(round(behind, 1), round(retention.lasts.total_seconds() - behind, 1))


@dataclass(frozen=True)
class Status:
    """A table's state and lag at one moment; a table without a state was never synced."""

    state: TableState | None = None
    lag: Lag | None = None
    age: float | None = None
    """Seconds since the last read of a table began whose changes nobody follows."""

    @classmethod
    def of(cls, state: TableState | None, now: datetime, retention: Retention | None) -> "Status":
        """The status of a table with this state, given how long its source keeps changes.

        Without a retention, nobody follows its changes.
        """
        if state is None:
            return cls()
        if retention is None:
            return cls(state, age=max((now - state.planned_at).total_seconds(), 0.0))
        return cls(state, Lag.of(state, now, retention))

    @property
    def phase(self) -> str:
        """The table's phase, or that it was never synced."""
        if self.state is None:
            return NEVER_SYNCED
        if self.age is not None and self.state.phase is Phase.TAILING:
            return LOADED
        return self.state.phase.value

    @property
    def problem(self) -> str | None:
        """Why the table needs a person."""
        return self.state.problem if self.state else None

    @property
    def lag_seconds(self) -> float | None:
        """How far the table is behind, if known."""
        return self.lag.seconds if self.lag else None

    @property
    def seconds_to_data_loss(self) -> float | None:
        """Time until unread changes may be lost, if known."""
        return self.lag.to_data_loss if self.lag else None

    @property
    def open_shards(self) -> int | None:
        """The number of known shards that have not ended; None without a stream."""
        if self.age is not None:
            return None
        return sum(not cursor.done for cursor in self.state.shards.values()) if self.state else 0

    @property
    def finished_shards(self) -> int | None:
        """The number of remembered shards that were read to their end; None without a stream."""
        if self.age is not None:
            return None
        return sum(cursor.done for cursor in self.state.shards.values()) if self.state else 0

    def wrong(self, allowed: float | None) -> NeedsPerson | None:
        """The error for a monitor: the table needs a person, or lags more than `allowed` seconds.

        A table that was never read exceeds any lag. None allows any lag.
        """
        if self.problem:
            table = self.state.table if self.state else ""
            return NeedsPerson(
                f"needs a person. {self.problem}",
                f"`connector sync {table}` says what to do about it, and docs/operations.md more.",
            )
        if allowed is None:
            return None
        if self.state is None:
            how = "was never synced"
        elif self.age is not None:
            if self.age <= allowed:
                return None
            how = f"was last read {lasting(self.age)} ago"
        elif self.lag is None:
            how = "has no known lag"
        elif self.lag.seconds > allowed:
            how = f"is {lasting(self.lag.seconds)} behind"
        else:
            return None
        return NeedsPerson(
            f"{how}, and {lasting(allowed)} is allowed.",
            "Check that `connector sync` runs, and what it reports.",
        )
