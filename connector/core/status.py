"""Where a table stands, for the command line and for Airflow alike."""

from dataclasses import dataclass
from datetime import datetime

from connector.core.changes.shards import Retention, read_through
from connector.core.state import TableState
from connector.core.words import lasting
from connector.errors import NeedsPerson

NEVER_SYNCED = "never synced"


@dataclass(frozen=True)
class Lag:
    """How far behind a table is, and how long until changes may be lost; both in seconds."""

    seconds: float
    to_data_loss: float

    @classmethod
    def of(cls, state: TableState, now: datetime, retention: Retention) -> "Lag | None":
        """The lag of the slowest shard that must be read; None if nothing is known of any."""
        seen = read_through(state.shards)
        if seen is None:
            return None
        behind = max((now - seen).total_seconds(), 0.0)
        return cls(round(behind, 1), round(retention.lasts.total_seconds() - behind, 1))


@dataclass(frozen=True)
class Status:
    """What a table's state says at one moment; a table without a state was never synced."""

    state: TableState | None = None
    lag: Lag | None = None

    @classmethod
    def of(cls, state: TableState | None, now: datetime, retention: Retention) -> "Status":
        """The status of a table by its state, whose source keeps changes for the `retention`."""
        return cls(state, Lag.of(state, now, retention) if state else None)

    @property
    def phase(self) -> str:
        """What the table is at."""
        return self.state.phase.value if self.state else NEVER_SYNCED

    @property
    def problem(self) -> str | None:
        """Why it needs a person."""
        return self.state.problem if self.state else None

    @property
    def lag_seconds(self) -> float | None:
        """Seconds that it is behind, if that is known."""
        return self.lag.seconds if self.lag else None

    @property
    def seconds_to_data_loss(self) -> float | None:
        """Seconds until changes may be lost that nobody has read, if that is known."""
        return self.lag.to_data_loss if self.lag else None

    @property
    def open_shards(self) -> int:
        """How many shards have not ended, as far as they are known."""
        return sum(not cursor.done for cursor in self.state.shards.values()) if self.state else 0

    @property
    def finished_shards(self) -> int:
        """How many shards were read to their end and are still remembered."""
        return len(self.state.shards) - self.open_shards if self.state else 0

    def wrong(self, allowed: float | None) -> NeedsPerson | None:
        """What a monitor should hear of: that it needs a person, or is later than `allowed`.

        What was never read is later than anything. None allows any lag.
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
            how = "has no lag that is known"
        elif self.lag.seconds > allowed:
            how = f"is {lasting(self.lag.seconds)} behind"
        else:
            return None
        return NeedsPerson(
            f"{how}, and {lasting(allowed)} is allowed.",
            "See that `connector sync` runs, and what it says.",
        )
