"""Every record that was read is applied or quarantined: none is skipped without a row."""

import json
from collections.abc import Iterator
from functools import reduce
from typing import Any

import pytest

from tests.rigs.scripted import RunningClock, ScriptedDynamoDB

from .replica import ORDERS, SCHEMA, Replica, key, order

# What its tests share is made once, by one process.
pytestmark = pytest.mark.xdist_group("quarantine")

BAD_VALUES: dict[str, dict[str, Any]] = {
    "unknown type": {"ZZ": "1"},
    "two types": {"S": "1", "N": "1"},
    "no type": {},
    "number that is none": {"N": "NaN"},
    "number of 39 digits": {"N": "1" * 39},
    "number out of range": {"N": "1E+126"},
    "number that is a number": {"N": 5},
    "base64 that is none": {"B": "*"},
    "empty set": {"SS": []},
    "lone surrogate": {"S": "\ud800"},
    "nested too deeply": reduce(lambda inner, _: {"L": [inner]}, range(100), {"L": []}),
}


def forged(replica: Replica, **changes: Any) -> None:
    """Appends a record to the stream as it is, with these members changed; None removes one."""
    stream = replica.model.stream
    image = order("forged", 5)
    inner: dict[str, Any] = {
        "ApproximateCreationDateTime": stream.clock.now(),
        "Keys": key("forged"),
        "NewImage": image,
        "SequenceNumber": str(stream.numbers.last() + 1),
    }
    content: dict[str, Any] = {"eventID": "x", "eventName": "INSERT"}
    for name, value in changes.items():
        into = content if name in content else inner
        into[name] = value
        if value is None:
            del into[name]
    stream.append({**content, "dynamodb": inner})


@pytest.fixture(scope="module")
def bad_items(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A table with every bad item, each scanned and then streamed as well."""
    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        rig.create_table(ORDERS, SCHEMA)
        replica = Replica(rig, tmp_path_factory.mktemp("bad"))
        items = {name: {**key(name), "n": value} for name, value in BAD_VALUES.items()}
        replica.model.load([*items.values(), order(1, 1)])
        replica.sync()
        for name, item in items.items():
            forged(replica, Keys=key(name), NewImage=item)
        replica.model.put(order(2, 2))
        replica.sync()
        yield replica


def test_bad_items_beside_attributes_that_were_never_seen(replica: Replica) -> None:
    replica.model.put(order(1, 1))
    replica.sync()
    for number in range(2, 30):
        replica.model.put({**order(number, number), f"new{number % 5}": {"S": "x"}})
        if number % 7 == 0:
            bad = key(f"bad {number}")
            forged(replica, Keys=bad, NewImage=bad | {"n": BAD_VALUES["number that is none"]})
    assert replica.sync().quarantined == 4
    replica.assert_equal()


@pytest.mark.parametrize("name", BAD_VALUES)
def test_an_item_that_cannot_be_stored_is_quarantined_with_its_wire_form(
    bad_items: Replica, name: str
) -> None:
    kept = bad_items.sql(
        "SELECT split_part(partition, '/', 1), raw, reason FROM _connector.quarantine "
        f"WHERE contains(raw, '\"{name}\"') ORDER BY partition"
    )
    assert [partition for partition, _, _ in kept] == ["segment", "shard"]
    for _, raw, reason in kept:
        assert json.dumps(BAD_VALUES[name]).replace(" ", "") in raw.replace(" ", "")
        assert reason
    assert bad_items.numbers() == {"1": 1, "2": 2}


BAD_RECORDS: dict[str, dict[str, Any]] = {
    "unknown event": {"eventName": "UNKNOWN_TO_SDK_VERSION"},
    "no event": {"eventName": None},
    "no keys": {"Keys": None},
    "empty keys": {"Keys": {}},
    "keys of another type": {"Keys": {"id": {"N": "1"}}},
    "no image": {"NewImage": None},
    "no time": {"ApproximateCreationDateTime": None},
    "no sequence number": {"SequenceNumber": None},
    "a sequence number that is none": {"SequenceNumber": "x"},
    "an image of another key": {"NewImage": order("another", 1)},
    "an image without a key": {"NewImage": {"n": {"N": "1"}}},
}


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """One replica for all bad records."""
    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        rig.create_table(ORDERS, SCHEMA).put(order(1, 1))
        replica = Replica(rig, tmp_path_factory.mktemp("standing"))
        replica.sync()
        yield replica


@pytest.mark.parametrize(
    ("name", "alone"),
    [(name, True) for name in BAD_RECORDS]
    + [(name, False) for name in ("unknown event", "no keys", "no sequence number", "no image")],
)
def test_a_record_that_is_none_is_quarantined(standing: Replica, name: str, alone: bool) -> None:
    before = standing.state().quarantined
    forged(standing, **BAD_RECORDS[name])
    if not alone:
        standing.model.put(order(2, before))
    state = standing.sync()
    standing.assert_equal()
    # A record without a number is met again until one with a number follows it.
    assert state.quarantined > before
