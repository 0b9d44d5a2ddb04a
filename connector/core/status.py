"""Where a table stands, for both the command line and Airflow."""

from dataclasses import dataclass
from datetime import datetime

from connector.core.changes.shards import Retention, read_through
from connector.core.state import TableState
from connector.core.words import lasting
from connector.errors import NeedsPerson

NEVER_SYNCED = "never synced"


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

    @classmethod
    def of(cls, state: TableState | None, now: datetime, retention: Retention) -> "Status":
        """The status of a table with this state, given how long its source keeps changes."""
        return cls(state, Lag.of(state, now, retention) if state else None)

    @property
    def phase(self) -> str:
        """The table's phase, or that it was never synced."""
        return self.state.phase.value if self.state else NEVER_SYNCED

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
    def open_shards(self) -> int:
        """The number of known shards that have not ended."""
        return sum(not cursor.done for cursor in self.state.shards.values()) if self.state else 0

    @property
    def finished_shards(self) -> int:
        """The number of shards that were read to their end and are still remembered."""
        return len(self.state.shards) - self.open_shards if self.state else 0

    def wrong(self, allowed: float | None) -> NeedsPerson | None:
        """The error for a monitor: the table needs a person, or lags more than `allowed` seconds.

        A table that was never read exceeds any lag. None allows any lag.
        """
        if self.problem:
            return NeedsPerson(
                f"needs a person. {self.problem}", "docs/operations.md says what to do, by error."
            )
        if allowed is None:
            return None
        if self.state is None:
            how = "was never synced"
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
