"""What a history and a log must say, checked against the stream of the scripted server."""

import json
from collections import defaultdict
from itertools import pairwise
from typing import Any

from tests.pipeline.replica import Replica

OPS = {"INSERT": "insert", "MODIFY": "update", "REMOVE": "delete"}


def number_of(image: dict[str, Any] | None) -> int | None:
    """The number of an order, in wire form."""
    return None if image is None else int(image["n"]["N"])


def records_of(replica: Replica) -> list[tuple[str, dict[str, Any]]]:
    """Every record of the stream with its shard, in the order in which they were made."""
    return [(shard, dict(record.content)) for shard, record in replica.model.stream.written]


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
