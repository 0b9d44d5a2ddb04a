"""Each declared type, each way that a value can be written, and what becomes of it."""

import base64
import json
import re
from decimal import Decimal
from typing import Any

import pytest

from tests.pipeline.replica import Replica, key

from .conftest import Made

pytestmark = pytest.mark.by_turns("make")

MISFIT = object()

COLUMNS = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "money": {"type": "decimal(6,2)"},
    "share": {"type": "decimal(2,2)"},
    "huge": {"type": "decimal(38,0)"},
    "tiny": {"type": "decimal(38,38)"},
    "boolean": {"type": "boolean"},
    "binary": {"type": "binary"},
    "any": {"type": "json"},
    "iso": {"type": "timestamp"},
    "seconds": {"type": "timestamp", "from": "epoch_s"},
    "millis": {"type": "timestamp", "from": "epoch_ms"},
    "micros": {"type": "timestamp", "from": "epoch_us"},
    "day": {"type": "date"},
    "id_": {"type": "uuid"},
}


def s(text: str) -> dict[str, Any]:
    """A string."""
    return {"S": text}


def n(text: str) -> dict[str, Any]:
    """A number."""
    return {"N": text}


def b(content: bytes) -> dict[str, Any]:
    """A binary."""
    return {"B": base64.b64encode(content).decode()}


YES, NO, NULL = {"BOOL": True}, {"BOOL": False}, {"NULL": True}
NESTED = [{"M": {"a": n("1.50")}}, {"L": [s("x"), n("2")]}, {"M": {}}, {"L": []}]
SETS = [{"SS": ["b", "a"]}, {"NS": ["2", "1.0"]}, {"BS": ["AAE="]}]
UUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
NO_NUMBERS = ["", " ", "n/a", "NaN", "Infinity", "inf", "1e3", "0x1F", "1_000", "1,5", " 1", "1 "]
NO_NUMBERS += ["+1", "01", "-01", ".5", "5.", "--1", "\u0661", "\uff11"]

# What a value is as text, by column; a text is its own name.
CASES: dict[str, list[tuple[dict[str, Any], Any]]] = {
    "string": [
        *((s(text), text) for text in ("", "x", "NaN", "null", "ä\n😀", UUID, "AAE=")),
        *((n(text), said) for text, said in (("5", "5"), ("1.50", "1.5"), ("-0", "0"))),
        (n("1E-130"), "0." + "0" * 129 + "1"),
        (YES, "true"),
        (NO, "false"),
        *((value, MISFIT) for value in (b(b"x"), *NESTED, *SETS)),
    ],
    "integer": [
        *(
            (n(text), said)
            for text, said in (("0", "0"), ("-0", "0"), ("7.0", "7"), ("1E3", "1000"))
        ),
        *((n(str(each)), str(each)) for each in (2**63 - 1, -(2**63), 10**18, -(10**18))),
        *((n(str(each)), MISFIT) for each in (2**63, -(2**63) - 1, 10**37)),
        *((n(text), MISFIT) for text in ("0.5", "1E-130", "9.99E125")),
        *(
            (s(text), said)
            for text, said in (("12", "12"), ("-3", "-3"), ("4.00", "4"), ("-0", "0"))
        ),
        *((s(text), MISFIT) for text in (*NO_NUMBERS, "1.5", str(2**63), "9" * 5000)),
        *((value, MISFIT) for value in (YES, b(b"1"), *NESTED, *SETS)),
    ],
    "money": [
        *(
            (n(text), said)
            for text, said in (("1", "1.00"), ("9999.99", "9999.99"), ("-0.1", "-0.10"))
        ),
        *((n(text), MISFIT) for text in ("10000", "0.001", "9999.999", "1E-130", "9.99E125")),
        *(
            (s(text), said)
            for text, said in (("1.5", "1.50"), ("10.00", "10.00"), ("1.2300", "1.23"))
        ),
        *((s(text), MISFIT) for text in (*NO_NUMBERS, "1.234", "12345.6", "0." + "1" * 5000)),
        *((value, MISFIT) for value in (NO, b(b"1"), *NESTED, *SETS)),
    ],
    "share": [(n("0.99"), "0.99"), (n("-0.5"), "-0.50"), (n("0"), "0.00"), (n("1"), MISFIT)],
    "huge": [(n("9" * 38), "9" * 38), (s("9" * 39), MISFIT), (n("-" + "9" * 38), "-" + "9" * 38)],
    "tiny": [(n("0." + "9" * 38), "0." + "9" * 38), (n("1"), MISFIT), (n("1E-39"), MISFIT)],
    "boolean": [
        (YES, "true"),
        (NO, "false"),
        (s("true"), "true"),
        (s("false"), "false"),
        *((s(text), MISFIT) for text in ("", "True", "FALSE", "1", "yes", "t")),
        *((value, MISFIT) for value in (n("1"), n("0"), b(b"1"), *NESTED, *SETS)),
    ],
    "binary": [
        (b(b""), ""),
        (b(b"\x00\xff"), "00ff"),
        *((value, MISFIT) for value in (s("AAE="), s(""), n("1"), YES, *NESTED, *SETS)),
    ],
    "any": [
        (s("x"), '"x"'),
        (s(""), '""'),
        (n("1.50"), "1.5"),
        (YES, "true"),
        (b(b"\x00\x01"), '"AAE="'),
        ({"M": {"b": n("1"), "a": NULL}}, '{"a":null,"b":1}'),
        ({"L": [s("x"), {"M": {}}]}, '["x",{}]'),
        ({"SS": ["b", "a"]}, '["a","b"]'),
    ],
    "iso": [
        (s("2024-01-02T03:04:05Z"), "2024-01-02 03:04:05+00"),
        (s("2024-01-02t03:04:05z"), "2024-01-02 03:04:05+00"),
        (s("2024-01-02 03:04Z"), "2024-01-02 03:04:00+00"),
        (s("2024-01-02T03:04:05.1Z"), "2024-01-02 03:04:05.1+00"),
        (s("2024-01-02T03:04:05,123456Z"), "2024-01-02 03:04:05.123456+00"),
        (s("2024-01-02T03:04:05.123456000Z"), "2024-01-02 03:04:05.123456+00"),
        (s("2024-02-29T00:00:00+00:00"), "2024-02-29 00:00:00+00"),
        (s("2024-03-31T02:30:00+01:00"), "2024-03-31 01:30:00+00"),
        (s("2024-10-27T02:30:00+02:00"), "2024-10-27 00:30:00+00"),
        (s("2024-10-27T02:30:00+0100"), "2024-10-27 01:30:00+00"),
        (s("2024-01-01T00:00:00-05:30"), "2024-01-01 05:30:00+00"),
        (s("2024-01-01T00:00:00+14"), "2023-12-31 10:00:00+00"),
        (s("2024-01-01T00:00:00-00:00"), "2024-01-01 00:00:00+00"),
        (s("1969-12-31T23:59:59.999999Z"), "1969-12-31 23:59:59.999999+00"),
        (s("1582-10-10T00:00:00Z"), "1582-10-10 00:00:00+00"),
        (s("0001-01-01T00:00:00Z"), "0001-01-01 00:00:00+00"),
        (s("9999-12-31T23:59:59.999999Z"), "9999-12-31 23:59:59.999999+00"),
        *(
            (s(text), MISFIT)
            for text in (
                *("", "now", "today", "infinity", "epoch", "null", "1704164645"),
                *("2024-01-02", "2024-01-02T03:04:05", "2024-01-02 03:04:05", "2024-01-02T03Z"),
                *("2024-02-30T00:00:00Z", "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z"),
                *("2024-04-31T00:00:00Z", "2024-13-01T00:00:00Z", "2024-00-01T00:00:00Z"),
                *("2016-12-31T23:59:60Z", "2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z"),
                *(
                    "2024-01-02T03:04:05.1234567Z",
                    "2024-01-02T03:04:05.Z",
                    "2024-01-02T03:04:05.-1Z",
                ),
                *(
                    "2024-01-02T03:04:05+24:00",
                    "2024-01-02T03:04:05+01:60",
                    "2024-01-02T03:04:05+1",
                ),
                *(
                    "0000-12-31T23:00:00-05:00",
                    "0001-01-01T00:00:00+00:01",
                    "10000-01-01T00:00:00Z",
                ),
                *("9999-12-31T23:59:59-00:01", "+12024-01-01T00:00:00Z", "-2024-01-01T00:00:00Z"),
                *("2024-W01-1T00:00:00Z", "2024-001T00:00:00Z", "20240102T030405Z"),
                *(" 2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z ", "2024-01-02T03:04:05Z\n"),
                *("2024-01-02T03:04:05 Z", "2024-01-02T03:04:05 UTC", "2024-01-02T03:04:05[UTC]"),
                *("\uff12024-01-02T03:04:05Z", "2024/01/02T03:04:05Z", "2024-1-2T03:04:05Z"),
            )
        ),
        *((value, MISFIT) for value in (n("0"), n("2024"), YES, b(b"1"), *NESTED, *SETS)),
    ],
    "seconds": [
        (n("0"), "1970-01-01 00:00:00+00"),
        (n("-0"), "1970-01-01 00:00:00+00"),
        (n("1704164645"), "2024-01-02 03:04:05+00"),
        (n("1704164645.5"), "2024-01-02 03:04:05.5+00"),
        (n("-1.000001"), "1969-12-31 23:59:58.999999+00"),
        (n("-0.5"), "1969-12-31 23:59:59.5+00"),
        (n("1.7E9"), "2023-11-14 22:13:20+00"),
        (n("-62135596800"), "0001-01-01 00:00:00+00"),
        (n("253402300799.999999"), "9999-12-31 23:59:59.999999+00"),
        (s("1704164645"), "2024-01-02 03:04:05+00"),
        *(
            (n(text), MISFIT)
            for text in ("0.0000001", "253402300800", "-62135596801", "1704164645000")
        ),
        *(
            (n(text), MISFIT)
            for text in ("1.00000000000000000000000000000000001", "9.99E125", "1E-130")
        ),
        *((s(text), MISFIT) for text in (*NO_NUMBERS, "2024-01-02T03:04:05Z", "9" * 5000)),
        *((value, MISFIT) for value in (YES, b(b"1"), *NESTED, *SETS)),
    ],
    "millis": [
        (n("1704164645123"), "2024-01-02 03:04:05.123+00"),
        (n("1704164645123.456"), "2024-01-02 03:04:05.123456+00"),
        (n("-1"), "1969-12-31 23:59:59.999+00"),
        (n("253402300799999"), "9999-12-31 23:59:59.999+00"),
        *((n(text), MISFIT) for text in ("0.0001", "253402300800000", "1704164645123000")),
    ],
    "micros": [
        (n("1704164645123456"), "2024-01-02 03:04:05.123456+00"),
        (n("253402300799999999"), "9999-12-31 23:59:59.999999+00"),
        *((n(text), MISFIT) for text in ("0.5", "253402300800000000", "1E125")),
    ],
    "day": [
        *((s(text), text) for text in ("2024-02-29", "0001-01-01", "9999-12-31", "1582-10-10")),
        *(
            (s(text), MISFIT)
            for text in (
                *(
                    "",
                    "2023-02-29",
                    "2024-04-31",
                    "0000-01-01",
                    "10000-01-01",
                    "2024-1-1",
                    "2024-01",
                ),
                *(
                    "2024-W01-1",
                    "2024-001",
                    "20240102",
                    "2024-01-02T00:00:00Z",
                    "2024-01-02Z",
                    "today",
                ),
                *(" 2024-01-02", "2024-01-02\n", "01/02/2024"),
            )
        ),
        *((value, MISFIT) for value in (n("19724"), YES, b(b"1"), *NESTED, *SETS)),
    ],
    "id_": [
        (s(UUID), UUID),
        (s(UUID.upper()), UUID),
        (s("00000000-0000-0000-0000-000000000000"), "00000000-0000-0000-0000-000000000000"),
        *(
            (s(text), MISFIT)
            for text in (
                *("", "{" + UUID + "}", "urn:uuid:" + UUID, UUID.replace("-", ""), UUID[:-1]),
                *(
                    UUID + "0",
                    "g" + UUID[1:],
                    " " + UUID,
                    UUID + "\n",
                    "a0eebc999-c0b-4ef8-bb6d-6bb9bd380a11",
                ),
            )
        ),
        *((value, MISFIT) for value in (n("1"), YES, b(bytes(16)), *NESTED, *SETS)),
    ],
}
NULLS = [(name, NULL, None) for name in COLUMNS]
EACH = [(name, *case) for name, cases in CASES.items() for case in cases] + NULLS


def test_each_column_has_its_own_case_and_each_type_some_of_both() -> None:
    assert CASES.keys() == COLUMNS.keys()
    assert len(EACH) > 350


def plain(value: dict[str, Any]) -> Any:
    """A value as `_rest` has it."""
    ((tag, content),) = value.items()
    match tag:
        case "M":
            return {name: plain(each) for name, each in content.items()}
        case "L":
            return [plain(each) for each in content]
        case "N":
            return Decimal(content)
        case "NS":
            return sorted(map(Decimal, content))
        case "SS" | "BS":
            return sorted(content)
    return content


def held(replica: Replica, name: str) -> dict[str, str | None]:
    """The values of a column as text, the same in each database."""
    text = f'CAST("{name}" AS VARCHAR)'
    if COLUMNS[name]["type"] == "binary":
        text = f"encode(\"{name}\", 'hex')" if replica.database else f'lower(hex("{name}"))'
    if COLUMNS[name]["type"] == "timestamp" and not replica.database:
        replica_text = dict(replica.sql(f'SELECT id, "{name}" FROM orders'))
        return {id_: None if at is None else _spelled(at) for id_, at in replica_text.items()}
    found = dict(replica.sql(f"SELECT id, {text} FROM orders"))
    if COLUMNS[name]["type"].startswith("decimal"):
        # DuckDB leaves out a zero before the point if the type has no digit there.
        found = {i: t and re.sub(r"^(-?)\.", r"\g<1>0.", t) for i, t in found.items()}
    if name == "any" and replica.database:
        return {i: t and json.dumps(json.loads(t), separators=(",", ":")) for i, t in found.items()}
    return found


def _spelled(at: Any) -> str:
    text = at.replace(tzinfo=None).isoformat(" ", "auto")
    return (text.rstrip("0") if "." in text else text) + "+00"


@pytest.mark.parametrize("way", ["scan", "stream"])
def test_a_value_is_what_it_is_in_the_declared_type_or_is_in_rest(make: Made, way: str) -> None:
    replica = make(COLUMNS)
    items = [{**key(f"{place:03}"), name: value} for place, (name, value, _) in enumerate(EACH)]
    if way == "stream":
        replica.sync()
    replica.model.put(*items)
    replica.sync()
    columns = {name: held(replica, name) for name in COLUMNS}
    rest = {
        id_: json.loads(text, parse_float=Decimal, parse_int=Decimal)
        for id_, text in replica.sql("SELECT id, _rest FROM orders WHERE _rest IS NOT NULL")
    }
    wrong = []
    for place, (name, value, expected) in enumerate(EACH):
        id_ = f"{place:03}"
        found = columns[name][id_], rest.get(id_)
        apart = {name: plain(value)} if expected is MISFIT else None
        if found != (None if expected is MISFIT else expected, apart):
            wrong.append(
                (
                    name,
                    str(value)[:80],
                    expected if expected is not MISFIT else "misfit",
                    str(found)[:80],
                )
            )
    assert not wrong
    assert replica.verdict().equal
