"""Only what is needed of a record is judged: its keys for a delete, those and the new image for a
put. What cannot be stored is quarantined by its key, and no older row passes for it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.rigs.postgres import Database
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB, faults
from tests.rigs.scripted.faults import Attempt, Effect, Response

from .replica import ORDERS, SCHEMA, Replica, key, order

# What its tests share is made once, by one process.
pytestmark = [pytest.mark.xdist_group("records_good_in_part"), pytest.mark.by_turns("replica")]

DEEP = 3000
BAD_ATTRIBUTES: dict[str, bytes] = {
    "lone surrogate": rb'{"S":"\ud800"}',
    "surrogates in the wrong order": rb'{"S":"\udc00\ud800"}',
    "not UTF-8": b'{"S":"\xff\xfe"}',
    "base64 that is none": b'{"B":"*"}',
    "number of 39 digits": b'{"N":"' + b"1" * 39 + b'"}',
    "number out of range": b'{"N":"1E+126"}',
    "number that is none": b'{"N":"x"}',
    "number that is a number": b'{"N":5}',
    "number of Python's alone": b'{"N":NaN}',
    "unknown type": b'{"ZZ":"1"}',
    "two types": b'{"S":"1","N":"1"}',
    "no type": b"{}",
    "no value": b"null",
    "empty set": b'{"SS":[]}',
    "NULL that is not true": b'{"NULL":false}',
    "nested too deeply": b'{"L":[' * 100 + b"]}" * 100,
    "nested beyond any stack": b'{"L":[' * DEEP + b"]}" * DEEP,
    "surrogate as a name": rb'{"M":{"\udfff":{"S":"x"}}}',
}
BAD_IMAGES: dict[str, bytes] = {
    "null": b"null",
    "array": b"[]",
    "text": b'"image"',
    "number": b"5",
    "empty": b"{}",
    "array of replication": b'["aws:rep:x"]',
    "surrogate as a name": rb'{"id":{"S":"x"},"\ud800":{"S":"x"}}',
}
CASES = {
    **{f"attribute: {name}": raw for name, raw in BAD_ATTRIBUTES.items()},
    **{f"image: {name}": raw for name, raw in BAD_IMAGES.items()},
}


def rewritten(texts: dict[bytes, bytes]) -> Effect:
    """Puts raw bytes where an otherwise good answer has these texts."""

    def effect(attempt: Attempt) -> Response:
        answer = attempt.proceed()
        body = answer.body
        for text, raw in texts.items():
            body = body.replace(json.dumps(text.decode()).encode(), raw)
        return answer if answer.error else Response(body)

    return effect


def bad_image(case: str, text: object) -> Any:
    """An image that `rewritten` makes bad."""
    if case.startswith("image"):
        return f"<{case}>"
    return {**order(text, 1), "bad": f"<{case}>"}


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def replica(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Replica]:
    """One order for each case, in the table and in its replica."""
    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        table = rig.create_table(ORDERS, SCHEMA)
        folder = tmp_path_factory.mktemp("part")
        database = ""
        if request.param == "postgres":
            found: Database = request.getfixturevalue("postgres_database")
            found.clean(with_state=True)
            database = found.url
        settings = {"spool": str(folder / "spool"), "quarantine.limit": 1000}
        replica = Replica(rig, folder, settings=settings, database=database)
        # Before any rule with this effect there is nothing to rewrite.
        texts = {f"<{case}>".encode(): raw for case, raw in CASES.items()}
        for operation in ("GetRecords", "Scan", "BatchGetItem"):
            rig.faults.add(rewritten(texts), on=operation, times=10**6)
        for case in CASES:
            table.load(
                [order(f"{what} {case}", 0) for what in ("kept", "removed", "put", "scanned")]
            )
        replica.sync()
        yield replica


def append(replica: Replica, event: str, text: object, **members: Any) -> None:
    """Appends a record as it is; None removes a member."""
    stream = replica.model.stream
    change: dict[str, Any] = {
        "ApproximateCreationDateTime": int(stream.clock.now()),
        "Keys": key(text),
        "SequenceNumber": str(stream.numbers.last() + 1),
        "SizeBytes": 5,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    record = {"eventID": "e", "eventName": event, "eventSource": "aws:dynamodb"}
    for name, value in members.items():
        (record if name in ("eventID", "eventName", "userIdentity") else change)[name] = value
    content = {**record, "dynamodb": {n: v for n, v in change.items() if v is not None}}
    stream.append({name: value for name, value in content.items() if value is not None})


def quarantined(replica: Replica) -> list[tuple[str | None, str, str]]:
    """Key, reason and raw form of each quarantined record."""
    return replica.sql(
        'SELECT key, reason, raw FROM _connector.quarantine ORDER BY "commit", sequence'
    )


def test_a_bad_old_image_harms_nobody(replica: Replica) -> None:
    before, known = replica.numbers(), len(quarantined(replica))
    for case in CASES:
        append(replica, "REMOVE", f"removed {case}", OldImage=bad_image(case, f"removed {case}"))
        text = f"kept {case}"
        append(replica, "MODIFY", text, NewImage=order(text, 7), OldImage=bad_image(case, text))
    replica.sync()
    after = replica.numbers()
    assert not any(text.startswith("removed") for text in after)
    assert {text: n for text, n in after.items() if text.startswith("kept")} == {
        f"kept {case}": 7 for case in CASES
    }
    assert after.keys() == {text for text in before if not text.startswith("removed")}
    assert len(quarantined(replica)) == known


def test_a_bad_new_image_is_quarantined_by_its_key_and_its_older_row_goes(
    replica: Replica,
) -> None:
    others = {text for text in replica.numbers() if not text.startswith("put")}
    known = len(quarantined(replica))
    for case in CASES:
        text = f"put {case}"
        append(replica, "MODIFY", text, NewImage=bad_image(case, text), OldImage=order(text, 0))
    append(replica, "MODIFY", "neighbour", NewImage=order("neighbour", 1))
    replica.sync()
    assert replica.numbers().keys() == {*others, "neighbour"}
    found = quarantined(replica)[known:]
    assert [text for text, _, _ in found] == [json.dumps([f"put {case}"]) for case in CASES]
    for (_, reason, raw), (case, bad) in zip(found, CASES.items(), strict=True):
        assert "record without" not in reason, case
        assert bad.decode(errors="backslashreplace") in raw, case
    assert replica.state().quarantined == known + len(CASES)
    # What is mended returns as any other.
    for case in CASES:
        append(replica, "MODIFY", f"put {case}", NewImage=order(f"put {case}", 9))
    replica.sync()
    assert {n for text, n in replica.numbers().items() if text.startswith("put")} == {9}
    assert len(quarantined(replica)) == known + len(CASES)


def test_the_newest_record_of_a_key_decides(replica: Replica) -> None:
    known = len(quarantined(replica))
    surrogate = "attribute: lone surrogate"
    for text, events in {
        "bad then good": ("bad", "good"),
        "good then bad": ("good", "bad"),
        "bad then removed": ("bad", "REMOVE"),
        "removed then bad": ("REMOVE", "bad"),
        "without image then good": ("without", "good"),
        "good then without image": ("good", "without"),
    }.items():
        for event in events:
            if event == "REMOVE":
                append(replica, "REMOVE", text, OldImage=bad_image(surrogate, text))
            else:
                image = {"bad": bad_image(surrogate, text), "good": order(text, 3)}.get(event)
                append(replica, "MODIFY", text, NewImage=image)
    replica.sync()
    rows = {text for text in replica.numbers() if " then " in text}
    assert rows == {"bad then good", "without image then good"}
    keys = [json.loads(text or "null") for text, _, _ in quarantined(replica)[known:]]
    assert keys == [["good then bad"], ["removed then bad"], ["good then without image"]]


FLAWED: dict[str, tuple[dict[str, Any], str]] = {
    "no new image": ({"NewImage": None}, "new image"),
    "the image of another key": ({"NewImage": order("somebody else", 1)}, "another key"),
    "an image without its key": ({"NewImage": {"n": {"N": "1"}}}, "key"),
    "an image whose key is of another type": ({"NewImage": {"id": {"N": "1"}}}, "key"),
    "unknown event": ({"eventName": "UNKNOWN_TO_SDK_VERSION"}, "unknown event"),
    "event that is no text": ({"eventName": 5}, "unknown event"),
    "no event": ({"eventName": None}, "unknown event"),
    "no time": ({"ApproximateCreationDateTime": None}, "time"),
    "time that is a text": ({"ApproximateCreationDateTime": "2026-01-01"}, "time"),
    "time in the year 55000": ({"ApproximateCreationDateTime": 1.7e12}, "time"),
    "time before 1970": ({"ApproximateCreationDateTime": -5}, "time"),
    "endless time": ({"ApproximateCreationDateTime": 1e300}, "time"),
}


def test_a_record_that_does_not_say_what_became_of_its_key(replica: Replica) -> None:
    known = len(quarantined(replica))
    for name in FLAWED:
        append(replica, "INSERT", f"flawed {name}", NewImage=order(f"flawed {name}", 1))
    replica.sync()
    assert {f"flawed {name}" for name in FLAWED} <= replica.numbers().keys()
    for name, (members, _) in FLAWED.items():
        text = f"flawed {name}"
        append(replica, "MODIFY", text, **{"NewImage": order(text, 2), **members})
    append(replica, "MODIFY", "last", NewImage=order("last", 1))
    replica.sync()
    assert not {text for text in replica.numbers() if text.startswith("flawed")}
    found = quarantined(replica)[known:]
    assert [text for text, _, _ in found] == [json.dumps([f"flawed {name}"]) for name in FLAWED]
    for (_, reason, raw), (name, (_, expected)) in zip(found, FLAWED.items(), strict=True):
        assert expected in reason, name
        assert json.loads(raw)["dynamodb"]["Keys"] == key(f"flawed {name}")


def test_what_nobody_needs_is_not_judged(replica: Replica) -> None:
    known = len(quarantined(replica))
    odd: dict[str, dict[str, Any]] = {
        "size": {"SizeBytes": "many"},
        "identity text": {"userIdentity": "me"},
        "identity list": {"userIdentity": [1]},
        "identity null": {"userIdentity": None},
        "identity of numbers": {"userIdentity": {"PrincipalId": 5, "Type": {}}},
        "event id": {"eventID": {"a": 1}},
        "surrogate outside": {"eventID": "\ud800", "userIdentity": {"Type": "\udc00"}},
        "unknown member": {"Later": ["\ud800"]},
        "view": {"StreamViewType": 5},
        "keys with more": {"Keys": {**key("odd keys with more"), "x": {"ZZ": ["\ud7ff"]}}},
    }
    for name, members in odd.items():
        text = f"odd {name}"
        append(replica, "INSERT", text, NewImage=order(text, 1), **members)
        append(replica, "INSERT", f"gone {text}", NewImage=order(f"gone {text}", 1))
    replica.sync()
    assert {f"odd {name}" for name in odd} <= replica.numbers().keys()
    for name, members in odd.items():
        if "Keys" in members:
            members = {"Keys": {**members["Keys"], **key(f"gone odd {name}")}}
        append(replica, "REMOVE", f"gone odd {name}", **members)
    replica.sync()
    assert not {text for text in replica.numbers() if text.startswith("gone")}
    assert len(quarantined(replica)) == known


BAD_KEYS: dict[str, Any] = {
    "missing": None,
    "null": [],
    "empty": {},
    "of another type": {"id": {"N": "1"}},
    "surrogate": {"id": {"S": "\ud800"}},
    "empty text": {"id": {"S": ""}},
    "of another table": {"other": {"S": "x"}},
}


@pytest.mark.parametrize("event", ["MODIFY", "REMOVE"])
def test_a_record_without_its_keys_names_none_and_changes_nothing(
    replica: Replica, event: str
) -> None:
    before, known = replica.numbers(), len(quarantined(replica))
    for bad in BAD_KEYS.values():
        append(replica, event, "nobody", NewImage=order("nobody", 1), Keys=bad)
    replica.sync()
    assert replica.numbers() == before
    found = quarantined(replica)[known:]
    assert [text for text, _, _ in found] == [None] * len(BAD_KEYS)
    assert all("key" in reason for _, reason, _ in found)


def test_a_record_without_a_number_names_its_key_and_changes_nothing(replica: Replica) -> None:
    """Nothing says what it comes before: it may be met again after newer ones."""
    append(replica, "INSERT", "numberless", NewImage=order("numberless", 1))
    replica.sync()
    before, known = replica.numbers(), len(quarantined(replica))
    bad = (None, "x", 5, "", "1" * 5000)
    for number in bad:
        append(replica, "REMOVE", "numberless", SequenceNumber=number)
    # One with a number follows, which the next runs do not read again.
    append(replica, "INSERT", "after", NewImage=order("after", 1))
    for _ in range(2):
        replica.sync()
        assert replica.numbers() == {**before, "after": 1}
        found = [text for text, reason, _ in quarantined(replica) if "number" in reason]
        assert found[-len(bad) :] == ['["numberless"]'] * len(bad)
        assert len(quarantined(replica)) == known + len(bad)


def test_what_is_bad_in_a_full_refresh_leaves_no_older_row_and_is_verified_by_its_key(
    replica: Replica,
) -> None:
    """Scan and BatchGetItem give the same items as the stream: bad in part, whole as a page."""
    bad = {f"scanned {case}" for case in CASES if case.startswith("attribute")}
    good = {f"scanned {case}" for case in CASES} - bad
    replica.model.load(
        {**order(text, 1), "bad": f"<{text.removeprefix('scanned ')}>"} for text in bad
    )
    replica.run().snapshot(full_refresh=True, yes=True)
    assert {text for text in replica.numbers() if text.startswith("scanned")} == good
    found = replica.sql(
        "SELECT key, raw FROM _connector.quarantine WHERE partition LIKE 'segment/%' "
        "AND generation = (SELECT max(generation) FROM _connector.tables)"
    )
    assert {text for text, _ in found} == {json.dumps([text]) for text in bad}
    # Nothing else is to differ: what only records said goes, too.
    replica.model.delete(*(key(text) for text in replica.truth().keys() - bad - good))
    replica.sync()
    for text in replica.numbers().keys() - good:
        append(replica, "REMOVE", text)
    replica.sync()
    verdict = replica.verdict()
    counts = [each.count for each in (verdict.missing, verdict.extra, verdict.different)]
    assert (verdict.matching, counts) == (len(good), [len(bad), 0, 0])
    assert set(verdict.missing.keys) <= {json.dumps([text]) for text in bad}


@pytest.mark.parametrize("body", [b'{"Records":[', b'{"Records":[{"a":1},]}', b'{"Records":{}}'])
def test_a_page_that_is_broken_as_a_whole_is_asked_for_again(replica: Replica, body: bytes) -> None:
    known = len(quarantined(replica))
    text = f"after {body.decode()}"
    append(replica, "INSERT", text, NewImage=order(text, 4))
    rules = replica.rig.faults.rules
    replica.rig.faults.add(faults.wrong_body(body), on="GetRecords")
    # The first rule is the outermost.
    rules.insert(0, rules.pop())
    replica.sync()
    assert replica.numbers()[text] == 4
    assert len(quarantined(replica)) == known
