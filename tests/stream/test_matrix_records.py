"""Fault matrix C 41–52: records of every kind. How they are read: test_matrix_reading.py.

"Q" in a row of the matrix means: the record goes to the quarantine, and the row of its key, which
may no longer be what the source holds, goes too.
"""

from typing import Any

import pytest

from connector.errors import HistoryLost, QuarantineLimit
from tests.destinations.fake import FakeDestination
from tests.rigs.scripted import SequenceNumbers, faults
from tests.rigs.scripted.scenario import (
    Append,
    Before,
    Create,
    Delete,
    Drop,
    During,
    Expire,
    Numbers,
    Put,
    Roll,
    Update,
    Write,
)
from tests.rigs.scripted.shards import Record

from .memory import items
from .replica import Replica, planned


def test_41_two_changes_in_one_second_across_a_shards_end(replica: Replica) -> None:
    """Their order is that of the shards and of their numbers, not of their times."""
    planned(replica)
    for n in range(5):
        replica.play(Put("a", n), Delete("b"), Roll(), Put("a", n + 100), Put("b", n))
    replica.sync()
    assert replica.contents()["a"]["n"] == 104


def test_42_sequence_numbers_that_grow_a_digit(replica: Replica) -> None:
    """999…9 comes before 1000…0: they are numbers, not text."""
    planned(replica, Numbers(10**21 - 3))
    for n in range(3):
        replica.play(Put("a", n), Put("b", n))
        replica.sync()
    replica.play(Numbers(10**39), Roll(), Put("a", 7))
    replica.sync()
    assert max(len(cursor.token or "") for cursor in replica.state().shards.values()) == 40


def test_43_insert_modify_remove_insert_in_one_batch(replica: Replica) -> None:
    """The last one wins, once."""
    planned(replica, Put("k", 1), Put("k", 2), Delete("k"), Put("k", 3), Put("g", 1), Delete("g"))
    replica.sync()
    rows = [batch.rows.num_rows for batch in replica.witness.batches if batch.rows.num_rows]
    assert rows[-1] == 2


def test_44_remove_of_an_unknown_key(replica: Replica) -> None:
    """There is nothing to delete, and that is no error; while loading, it is a tombstone."""
    replica.play(Before(3), Append("ghost", event="REMOVE"), During("Scan", Delete("old 1")))
    replica.sync()
    replica.play(Append("ghost", event="REMOVE"))
    replica.sync()


def test_45_modify_without_an_earlier_insert(replica: Replica) -> None:
    """The whole item is in the record, so the row is made."""
    planned(replica)
    replica.model.load([{"id": {"S": "new"}, "n": {"N": "1"}}])
    replica.play(Update("new", 2))
    replica.sync()
    assert replica.contents()["new"]["n"] == 2


@pytest.mark.parametrize(
    ("policy", "marked"),
    [("apply", set()), ("soft", {"deleted", "expired"}), ("ignore-ttl", {"expired"})],
)
def test_46_time_to_live_is_told_from_a_delete(
    replica: Replica, policy: str, marked: set[str]
) -> None:
    """Rows go, or stay marked, as configured; a later put brings them back to life."""
    replica.settings["tables.orders.deletes"] = policy
    planned(replica, Put("expired", 1), Put("deleted", 1))
    replica.sync()
    replica.play(Expire("expired"), Delete("deleted"))
    replica.sync()
    assert {item["id"].strip('"') for item in kept(replica)} == marked
    replica.play(Put("expired", 2), Put("deleted", 2))
    replica.sync()
    assert not kept(replica)


def kept(replica: Replica) -> list[Any]:
    """The rows of deleted items."""
    assert isinstance(replica.destination, FakeDestination)
    return items(replica.destination, "orders", marked=True)


@pytest.mark.parametrize(
    "bad",
    [
        Append("x", event="UNKNOWN_TO_SDK_VERSION"),
        Append("x", event="TRUNCATE"),
        Append("x", without=("Keys",)),
        Append("x", without=("SequenceNumber",)),
        Append("x", without=("NewImage",)),
        Append("x", changed={"NewImage": {"id": {"S": "y"}, "n": {"N": "1"}}}),
        Append("x", changed={"Keys": {"other": {"S": "x"}}}),
        Append("x", changed={"Keys": {"id": {"N": "1"}}}),
    ],
    ids=[
        "47 unknown event",
        "47 another unknown event",
        "48 no keys",
        "48 no sequence number",
        "48 no image",
        "49 the image has another key",
        "50 keys of another table",
        "50 a key of another type",
    ],
)
@pytest.mark.by_turns("alone")
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "among others"])
def test_47_to_50_a_record_that_is_none(replica: Replica, bad: Append, alone: bool) -> None:
    """Q: it is kept with its raw form; what stands before and after it is applied."""
    planned(replica)
    replica.play(*([bad] if alone else [Put("a", 2), bad, Put("b", 2)]))
    replica.sync()
    (record,) = [each for batch in replica.witness.batches for each in batch.quarantined]
    assert record.reason and '"eventName"' in record.raw
    assert record.key == (None if "Keys" in (*bad.without, *bad.changed) else '["x"]')


BAD = {"bad": {"X": "1"}}
"""An attribute of a type that there is not; in an old image it harms nobody."""


def test_an_item_that_turns_bad_while_the_table_is_scanned_has_no_row(replica: Replica) -> None:
    """Whichever comes first, its scanned row or the record: and it is back when it is mended."""
    replica.scan_pages = 1
    replica.play(
        Before(30),
        During("Scan", Put("old 1", 1, BAD), Put("old 2", 1, BAD), Put("old 2", 2)),
        During(
            "Scan", Put("old 3", 1), Put("old 3", 2, BAD), Delete("old 4"), Put("old 4", 1, BAD)
        ),
    )
    assert replica.sync().quarantined >= 3
    assert "old 2" in replica.contents()
    assert not {"old 1", "old 3", "old 4"} & replica.contents().keys()
    replica.play(*(Put(f"old {n}", 5) for n in (1, 3, 4)))
    replica.sync()
    assert {replica.contents()[f"old {n}"]["n"] for n in (1, 3, 4)} == {5}


def test_an_item_that_turned_bad_is_not_kept_by_a_full_refresh(replica: Replica) -> None:
    planned(replica, Put("b", 1, BAD))
    replica.sync()
    replica.play(Put("b", 2), Put("a", 2, BAD))
    replica.refresh()
    assert replica.contents()["b"]["n"] == 2
    assert "a" not in replica.contents()


@pytest.mark.parametrize("policy", ["apply", "soft", "ignore-ttl"])
def test_a_bad_old_image_hinders_no_delete_of_any_kind(replica: Replica, policy: str) -> None:
    """What it was is not asked: a marked row keeps what the table has of it."""
    replica.settings["tables.orders.deletes"] = policy
    planned(replica, *(Put(name, 1) for name in ("expired", "deleted", "turned bad")))
    replica.sync()
    replica.play(Put("turned bad", 2, BAD))
    for step in (Expire("expired"), Delete("deleted")):
        replica.play(step)
        spoil(replica, BAD)
    replica.sync()
    marked = {"apply": set(), "soft": {"deleted", "expired"}, "ignore-ttl": {"expired"}}[policy]
    assert {item["id"].strip('"') for item in kept(replica)} == marked
    assert all("n" in item for item in kept(replica))
    assert "turned bad" not in replica.contents()
    (record,) = [each for batch in replica.witness.batches for each in batch.quarantined]
    assert record.key == '["turned bad"]'


def spoil(replica: Replica, old_image: Any) -> None:
    """Changes the old image of the newest record of the stream."""
    shard, record = replica.stream.written.pop()
    records = replica.stream.shards[shard].records
    assert records.pop() is record
    change = {**record.content["dynamodb"], "OldImage": old_image}
    spoilt = Record.of(record.number, record.at, {**record.content, "dynamodb": change})
    records.append(spoilt)
    replica.stream.written.append((shard, spoilt))


@pytest.mark.parametrize("image", [BAD, "text", ["aws:rep:x"], None, 5])
def test_a_replicated_record_with_a_bad_old_image_is_a_change(replica: Replica, image: Any) -> None:
    """What cannot be compared may have changed."""
    stamp = {"aws:rep:updatetime": {"N": "1"}}
    planned(replica, Put("a", 2, stamp))
    replica.sync()
    replica.play(Put("a", 3, stamp))
    spoil(replica, image)
    assert replica.sync().quarantined == 0
    assert replica.contents()["a"]["n"] == 3


def test_the_limit_counts_what_is_left_bad_and_not_what_was_mended(replica: Replica) -> None:
    replica.settings["quarantine.limit"] = 2
    planned(replica, *(Put(f"k{n}", 1, BAD) for n in range(5)))
    replica.play(*(Put(f"k{n}", 2) for n in range(3)))
    assert replica.sync().quarantined == 2
    replica.play(Put("k9", 1, BAD))
    replica.fails(QuarantineLimit)


def test_48_a_record_without_a_number_is_quarantined_once(replica: Replica) -> None:
    """No cursor can pass it, so each run meets it again; it is still one record."""
    replica.settings["quarantine.limit"] = 5
    planned(replica, Append("x", without=("SequenceNumber",)))
    replica.play(Append("y", without=("SequenceNumber",)))
    for _ in range(3):
        assert replica.sync().quarantined == 2
    replica.play(*[Append(f"z{n}", without=("SequenceNumber",)) for n in range(4)])
    replica.fails(QuarantineLimit)


def test_47_unknown_fields_and_versions_are_ignored(replica: Replica) -> None:
    """A newer service may send more than is known today."""

    def newer(content: dict[str, Any]) -> None:
        for record in content["Records"]:
            record |= {"eventVersion": "2.0", "traits": ["new"], "userIdentity": None}
            record["dynamodb"]["Checksum"] = {"algorithm": "x"}

    planned(replica, Write(20, seed=47))
    replica.rig.faults.add(faults.edit(newer), on="GetRecords", times=10**6)
    replica.sync()


# 50: a record of another table or Region cannot be told by its origin, for GetRecords names neither
# table nor ARN in a record: only the iterator binds it. What does not fit this table's key is
# quarantined (above), and the stream's ARN is checked at the start of each run (30, 52).


def test_51_a_change_of_replication_attributes_alone(replica: Replica) -> None:
    """Global tables of 2017 write each item twice; the second record is no change."""
    stamp = {"aws:rep:updatetime": {"N": "1"}, "aws:rep:deleting": {"BOOL": False}}
    planned(replica, Put("a", 2, stamp))
    replica.sync()
    commits = len(replica.witness.batches)
    replica.play(Put("a", 2, {**stamp, "aws:rep:updatetime": {"N": "2.5"}}))
    replica.sync()
    assert all(not batch.rows.num_rows for batch in replica.witness.batches[commits:])
    assert set(replica.contents()["a"]) == {"id", "n"}


@pytest.mark.parametrize("region", ["us-west-2", "eu-west-1"], ids=["same region", "another"])
def test_52_failover_to_another_replica(replica: Replica, region: str) -> None:
    """G, or a new generation: nothing maps from one stream to another, not even its numbers."""
    for n in range(4):
        replica.play(Put(f"k{n}", 1))
    planned(replica, Put("a", 5), Drop())
    replica.rig.region, replica.rig.numbers = region, SequenceNumbers(first=10**15)
    try:
        replica.play(Create(), Before(3), Put("k0", 1), Put("k1", 2), Put("a", 3), Put("k2", 1))
        replica.fails(HistoryLost)
        assert replica.contents()["a"]["n"] == 1
        replica.settings["tables.orders.on_gap"] = "resync"
        assert replica.sync().generation == 2
        replica.play(Put("a", 4), Delete("k0"))
        replica.sync()
    finally:
        replica.rig.region = "us-west-2"
