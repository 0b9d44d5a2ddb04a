"""What the checker is told and keeps, and how it objects."""

from dataclasses import dataclass, field
from datetime import datetime

from .truth import Key

SHARD = "shard/"

Place = tuple[str | None, bool]
"""Where a cursor stands: its token, and whether it is done."""


class Violation(AssertionError):
    """An invariant does not hold."""


def require(holds: bool, invariant: str, what: str) -> None:
    """Raises Violation where something does not hold."""
    if not holds:
        raise Violation(f"{invariant}: {what}")


@dataclass(frozen=True)
class Move:
    """One cursor of a commit."""

    partition: str
    since: Place | None
    until: Place

    @property
    def shard(self) -> str:
        """The shard it is about."""
        return self.partition.removeprefix(SHARD)


@dataclass
class Generation:
    """What the checker knows of one plan."""

    plan_id: str
    table: str
    stream_arn: str
    table_id: str
    planned_at: float
    places: dict[str, Place]
    touched: set[Key] = field(default_factory=set)
    last: dict[Key, int] = field(default_factory=dict)
    loaded: bool = False
    scanned_until: datetime | None = None
    consistent_since: datetime | None = None


@dataclass
class Tally:
    """What all runs together did."""

    runs: int = 0
    commits: int = 0
    records: int = 0
    crashes: int = 0
    gaps: int = 0
