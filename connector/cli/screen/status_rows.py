"""The rows of `connector status`: everything for programs, what matters for people."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connector.core.state import TableState
from connector.core.status import Lag
from connector.core.words import lasting

NEVER_SYNCED = "never synced"
UNLISTED = "not listed"
OVER = "over"
STATUS = (
    "table",
    "into",
    "phase",
    "generation",
    "rows",
    "consistent_since",
    "open_shards",
    "finished_shards",
    "lag_seconds",
    "seconds_to_data_loss",
    "last_commit",
    "committed_at",
    "quarantined",
    "drift",
    "problem",
)


def status_row(state: TableState, rows: int | None, now: datetime) -> dict[str, Any]:
    """Where a table stands; lag and time to data loss are those of the slowest shard."""
    unfinished = [cursor for cursor in state.shards.values() if not cursor.done]
    lag = Lag.of(state, now)
    return dict.fromkeys(STATUS) | {
        "table": state.table,
        "into": state.target,
        "phase": state.phase.value,
        "generation": state.generation,
        "rows": rows,
        "consistent_since": state.consistent_since,
        "open_shards": len(unfinished),
        "finished_shards": len(state.shards) - len(unfinished),
        "lag_seconds": lag.seconds if lag else None,
        "seconds_to_data_loss": lag.to_data_loss if lag else None,
        "last_commit": state.commit,
        "committed_at": state.committed_at,
        "quarantined": state.quarantined,
        "drift": state.drift,
        "problem": state.problem,
    }


def unsynced_row(table: str, into: str) -> dict[str, Any]:
    """The row of a table that is configured and has no state."""
    return dict.fromkeys(STATUS) | {"table": table, "into": into, "phase": NEVER_SYNCED}


def brief(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for a terminal; what is wrong in full stands below it anyway."""
    left, rows = row["seconds_to_data_loss"], row["rows"]
    problem = row["problem"] and row["problem"].partition(":")[0]
    if not problem and row.get("configured", True) is False:
        problem = UNLISTED
    return {
        "table": row["table"],
        "phase": row["phase"],
        "rows": None if rows is None else f"{rows:,}",
        "lag": None if row["lag_seconds"] is None else lasting(row["lag_seconds"]),
        "data loss in": None if left is None else lasting(left) if left > 0 else OVER,
        "drift": f"{row['drift']:,}" if row["drift"] else None,
        "problem": problem or None,
    }
