"""Global tables: one table in several Regions, each with a replica and a stream of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

STRONG = "STRONG"
EVENTUAL = "EVENTUAL"
IN_STEP = ("ACTIVE", "UPDATING")
"""The statuses of a replica that receives what others write."""


@dataclass(frozen=True)
class Replica:
    """One replica, and its status as another one sees it."""

    region: str
    status: str


@dataclass(frozen=True)
class GlobalTable:
    """What a replica says of the global table that it belongs to."""

    consistency: str
    """`EVENTUAL`, where the last writer wins, or `STRONG`."""
    replicas: Sequence[Replica]
    """The others, and perhaps itself."""
    witnesses: Sequence[str] = ()
    """Regions that take part in strong consistency and hold no table."""

    def text(self, here: str) -> str:
        """Its replicas, the one that is `here` among them, and what holds between them."""
        others = [f"{each.region} {each.status}" for each in self.replicas if each.region != here]
        strong = self.consistency == STRONG
        how = "STRONG" if strong else "EVENTUAL: the last writer wins"
        witness = f"; witness {', '.join(self.witnesses)}" if self.witnesses else ""
        return f"read in {here}; others: {', '.join(others) or 'none'}; consistency {how}{witness}"

    def status_in(self, region: str) -> str | None:
        """The status of the replica in a Region, if it is listed."""
        return next((each.status for each in self.replicas if each.region == region), None)
