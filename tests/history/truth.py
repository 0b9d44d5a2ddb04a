"""What a history and a log must say, checked against the stream of the scripted server."""

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from tests.pipeline.replica import Replica

OPS = {"INSERT": "insert", "MODIFY": "update", "REMOVE": "delete"}


def number_of(image: dict[str, Any] | None) -> int | None:
    """The number of an order, in wire form."""
    return None if image is None else int(image["n"]["N"])


def records_of(replica: Replica) -> list[tuple[str, dict[str, Any]]]:
    """Every record of all streams with its shard, in the order in which they were made."""
    streams = replica.model.streams
    return [(shard, dict(record.content)) for each in streams for shard, record in each.written]


def check_log(replica: Replica) -> None:
    """The log has each record of the stream exactly once, and nothing else."""
    expected = [
        (
            f"shard/{shard}",
            record["dynamodb"]["SequenceNumber"],
            record["dynamodb"]["Keys"]["id"]["S"],
            OPS[record["eventName"]],
            number_of(record["dynamodb"].get("OldImage")),
            number_of(record["dynamodb"].get("NewImage")),
        )
        for shard, record in records_of(replica)
    ]
    rows = replica.sql(
        "SELECT _partition, _sequence, id, _op, _before, _after FROM orders__changes"
    )
    found = [(*row[:4], *(json.loads(i)["n"] if i else None for i in row[4:])) for row in rows]
    assert sorted(found, key=lambda row: int(row[1])) == expected


def versions_of(replica: Replica) -> dict[str, list[dict[str, Any]]]:
    """The versions of each order, in their order."""
    names = ("id", "n", "_valid_from", "_valid_to", "_version", "_op", "_ended_by", "_commit")
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    chosen = ", ".join(names)
    for row in replica.sql(f"SELECT {chosen} FROM orders__history ORDER BY id, _version"):
        found[row[0]].append(dict(zip(names, row, strict=True)))
    return found


def check_history(replica: Replica, gaps: bool = False) -> None:
    """Versions are whole and in order, the open ones are the table, and no record is missing."""
    versions = versions_of(replica)
    for each in versions.values():
        check_intervals(each)
    present = {
        (v["id"], v["n"], v["_valid_from"], v["_commit"])
        for each in versions.values()
        for v in each
        if v["_valid_to"] is None
    }
    rows = replica.sql("SELECT id, n, _changed_at, _commit FROM orders")
    assert len(rows) == len(present) and set(rows) == present
    if not gaps:
        check_records(replica, versions)


def check_intervals(versions: list[dict[str, Any]]) -> None:
    """Versions are numbered, and none begins before the one before it has ended."""
    assert [v["_version"] for v in versions] == list(range(1, len(versions) + 1))
    for before, after in pairwise(versions):
        assert before["_valid_from"] <= before["_valid_to"] <= after["_valid_from"]
        assert before["_ended_by"] is not None
        if before["_ended_by"] == "update":
            assert before["_valid_to"] == after["_valid_from"]
            assert after["_op"] in ("update", "insert")
    assert (versions[-1]["_valid_to"] is None) == (versions[-1]["_ended_by"] is None)


def check_records(replica: Replica, versions: dict[str, list[dict[str, Any]]]) -> None:
    """Each record that put an order is a version, and ended the one before as it should."""
    for id_ in versions.keys() | {r["dynamodb"]["Keys"]["id"]["S"] for _, r in records_of(replica)}:
        mine = [r for _, r in records_of(replica) if r["dynamodb"]["Keys"]["id"]["S"] == id_]
        puts = [
            (OPS[r["eventName"]], number_of(r["dynamodb"]["NewImage"]))
            for r in mine
            if r["eventName"] != "REMOVE"
        ]
        shown = [(v["_op"], v["n"]) for v in versions.get(id_, []) if v["_op"] != "snapshot"]
        assert shown == puts, (id_, versions.get(id_), puts)


MOMENT = timedelta(microseconds=1)
CLOCK = timedelta(seconds=2)
"""By how much the clock of a page may be slow, since the source only says its time in seconds."""


def life_of(replica: Replica, id_: str, base: int | None) -> list[tuple[datetime, int | None]]:
    """What an order was from when on, by the records of the source alone; None: it was not."""
    life = [(datetime(1970, 1, 1, tzinfo=UTC), base)]
    for _, record in records_of(replica):
        images = record["dynamodb"]
        if images["Keys"]["id"]["S"] == id_:
            at = datetime.fromtimestamp(images["ApproximateCreationDateTime"], UTC)
            life.append((max(at, life[-1][0]), number_of(images.get("NewImage"))))
    return life


def check_as_of(replica: Replica, base: Mapping[str, int]) -> None:
    """At any moment since its first version, the history of an order says what it was then.

    `base` are the numbers of the orders that were there before all records.
    """
    for id_, versions in versions_of(replica).items():
        life = life_of(replica, id_, base.get(id_))
        edges = [each for v in versions for each in (v["_valid_from"], v["_valid_to"]) if each]
        edges += [at for at, _ in life]
        for edge in sorted(set(edges)):
            for at in (edge - MOMENT, edge, edge + MOMENT):
                then = [v["n"] for v in versions if is_of(v, at)]
                if at < versions[0]["_valid_from"] or any(is_early(v, at) for v in versions):
                    continue
                truth = [n for since, n in life if since <= at][-1]
                assert then == ([] if truth is None else [truth]), (id_, at, versions, life)


def is_of(version: Mapping[str, Any], at: datetime) -> bool:
    """Whether a version was the present one at a time."""
    until = version["_valid_to"]
    return bool(version["_valid_from"] <= at and (until is None or at < until))


def is_early(version: Mapping[str, Any], at: datetime) -> bool:
    """Whether a version may say of a time what the source had only a little later."""
    read = version["_op"] in ("snapshot", "gap")
    return read and bool(version["_valid_from"] <= at <= version["_valid_from"] + CLOCK)


def check_endings(replica: Replica) -> None:
    """Deletes ended versions as their records say."""
    gone = {
        (r["dynamodb"]["Keys"]["id"]["S"], int(r["dynamodb"]["SequenceNumber"])): r
        for _, r in records_of(replica)
    }
    ends: dict[str, list[str]] = defaultdict(list)
    for (id_, _), record in sorted(gone.items(), key=lambda each: each[0][1]):
        if record["eventName"] == "REMOVE":
            ends[id_].append("expiry" if "userIdentity" in record else "delete")
    for id_, versions in versions_of(replica).items():
        shown = [v["_ended_by"] for v in versions if v["_ended_by"] in ("delete", "expiry")]
        # An order may be gone before its first version began.
        assert shown == ends[id_][len(ends[id_]) - len(shown) :], (id_, versions, ends[id_])
