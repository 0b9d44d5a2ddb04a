"""What a table's state says of how it keeps up, for the command line and for Airflow alike."""

from dataclasses import dataclass
from datetime import datetime

from connector.core.shards import RETENTION, read_through
from connector.core.state import TableState


@dataclass(frozen=True)
class Lag:
    """How far behind a table is, and how long until changes may be lost; both in seconds."""

    seconds: float
    to_data_loss: float

    @classmethod
    def of(cls, state: TableState, now: datetime) -> "Lag | None":
        """The lag of the slowest shard that must be read; None if nothing is known of any."""
        seen = read_through(state.shards)
        if seen is None:
            return None
        behind = max((now - seen).total_seconds(), 0.0)
        return cls(round(behind, 1), round(RETENTION.total_seconds() - behind, 1))
