"""The rows of `connector status`: everything for programs, what matters for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from connector.core.publishing import Published
from connector.core.status import Status
from connector.core.words import lasting
from connector.stop import MACHINE

UNLISTED = "not listed"
OVER = "over"
STATUS = (
    "table",
    "into",
    "region",
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
    "published_at",
    "held_back",
)


def status_row(
    table: str,
    into: str,
    status: Status,
    rows: Mapping[str, int] | None,
    published: Published | None = None,
) -> dict[str, Any]:
    """A table's row; lag and time to data loss are those of the slowest shard.

    A table with several targets also has the number of rows of each, as `targets`.
    """
    row = dict.fromkeys(STATUS) | {"table": table, "into": into, "phase": status.phase}
    if published is not None:
        row |= {"published_at": published.at, "held_back": published.held_back}
    state = status.state
    if state is None:
        return row
    if state.parts:
        row["targets"] = {name: (rows or {}).get(name) for name in state.parts}
    return row | {
        "into": state.into,
        "region": state.identity.region or None,
        "generation": state.generation,
        "rows": None if rows is None else sum(rows.values()),
        "consistent_since": state.consistent_since,
        "open_shards": status.open_shards,
        "finished_shards": status.finished_shards,
        "lag_seconds": status.lag_seconds,
        "seconds_to_data_loss": status.seconds_to_data_loss,
        "last_commit": state.commit,
        "committed_at": state.committed_at,
        "quarantined": state.quarantined,
        "drift": state.drift,
        "problem": status.problem,
    }


def by_target(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows, each followed by one for each of several targets, with the rows in it."""
    found: list[dict[str, Any]] = []
    for row in rows:
        about = {name: value for name, value in row.items() if name != "targets"}
        found.append(about)
        for target, count in row.get("targets", {}).items():
            empty = dict.fromkeys(about) | {"configured": row.get("configured")}
            mine = {"table": f"{row['table']} → {target}", "into": target, "rows": count}
            found.append({name: (empty | mine)[name] for name in about})
    return found


def brief_status(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for a terminal, which shows the full problem below it anyway."""
    left, rows, published = row["seconds_to_data_loss"], row["rows"], row["published_at"]
    problem = row["problem"] and row["problem"].partition(":")[0]
    if not problem and row.get("configured", True) is False:
        problem = UNLISTED
    return {
        "table": row["table"],
        "phase": row["phase"],
        "region": row["region"],
        "rows": None if rows is None else f"{rows:,}",
        "lag": None if row["lag_seconds"] is None else lasting(row["lag_seconds"]),
        "data loss in": None if left is None else lasting(left) if left > 0 else OVER,
        "drift": f"{row['drift']:,}" if row["drift"] else None,
        "published": published and f"{lasting((MACHINE.now() - published).total_seconds())} ago",
        "problem": problem or None,
    }
