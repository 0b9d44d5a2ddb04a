"""Declarations that cannot be meant, each refused with one sentence before anything is read."""

from typing import Any

import pytest

from connector.errors import ConfigError
from tests.pipeline.replica import key
from tests.rigs.scripted import Key, KeySchema

from .conftest import Made

pytestmark = pytest.mark.by_turns("make")


@pytest.mark.parametrize(
    ("columns", "table", "said"),
    [
        ({"a": {"type": "varchar"}}, {}, "not a type"),
        ({"a": {"type": "String"}}, {}, "not a type"),
        ({"a": {"type": "decimal"}}, {}, "not a type"),
        ({"a": {"type": "decimal(10)"}}, {}, "not a type"),
        ({"a": {"type": "decimal(39,2)"}}, {}, "1 to 38 digits"),
        ({"a": {"type": "decimal(2,3)"}}, {}, "1 to 38 digits"),
        ({"a": {"type": "decimal(0,0)"}}, {}, "1 to 38 digits"),
        ({"a": {"type": "date", "from": "epoch_s"}}, {}, "from says how timestamps"),
        ({"a": {"from": "epoch_s"}}, {}, "from says how timestamps"),
        ({"a": {"hash": True, "type": "integer"}}, {}, "makes a text"),
        ({"a": {"mask": "*", "type": "uuid"}}, {}, "makes a text"),
        ({"a": {"exclude": True, "type": "string"}}, {}, "contradict"),
        ({"a": {"exclude": True, "required": True}}, {}, "contradict"),
        ({"m.x": {"type": "string"}}, {}, "about a column"),
        ({"m.x": {"required": True}}, {}, "about a column"),
        ({"a": {"type": "string"}}, {"layout": "packed"}, "packed"),
        ({"a": {"required": True}}, {"layout": "packed"}, "packed"),
        ({n: {"type": "string"} for n in "abc"}, {"max_columns": 2}, "max_columns"),
    ],
)
def test_a_contradiction_is_refused_at_once(
    make: Made, columns: dict[str, Any], table: dict[str, Any], said: str
) -> None:
    replica = make(columns, **table)
    with pytest.raises(ConfigError, match=said) as caught:
        replica.sync()
    assert caught.value.exit_code == 2
    assert caught.value.message.count(". ") == 0


@pytest.mark.parametrize(
    ("tag", "type_", "fits"),
    [
        ("S", "string", True),
        ("S", "uuid", False),
        ("S", "timestamp", False),
        ("S", "json", False),
        ("N", "integer", False),
        ("N", "decimal(10,0)", False),
        ("N", "string", False),
        ("B", "binary", True),
        ("B", "string", False),
    ],
)
def test_a_key_is_never_cast(make: Made, tag: str, type_: str, fits: bool) -> None:
    values = {"S": "x", "N": "1", "B": "AAE="}
    replica = make({"k": {"type": type_, "required": True}}, schema=KeySchema(Key("k", tag)))
    replica.model.put({"k": {tag: values[tag]}})
    if fits:
        replica.sync()
        assert replica.verdict().equal
        return
    with pytest.raises(ConfigError, match="never cast"):
        replica.sync()


def test_rules_come_first_and_the_type_is_that_of_what_they_leave(make: Made) -> None:
    replica = make(
        {
            "createdAt": {"rename": "created_at", "type": "timestamp", "from": "epoch_ms"},
            "city": {"path": "address.city", "type": "string", "required": True},
            "since": {"path": "address.since", "type": "date"},
            "mail": {"hash": True, "type": "string", "required": True},
            "card": {"mask": "****", "type": "string"},
            "id": {"hash": True, "type": "string"},
        }
    )
    address = {"M": {"city": {"S": "Wien"}, "since": {"S": "2020-02-29"}}}
    good = {"createdAt": {"N": "1700000000123"}, "address": address, "mail": {"N": "5"}}
    odd = {"M": {"city": {"L": []}, "since": {"S": "2021-02-29"}}}
    wrong = {"createdAt": {"S": "soon"}, "address": odd, "mail": {"S": "m"}, "card": {"N": "1"}}
    replica.model.put({**key(1), **good}, {**key(2), **wrong})
    replica.sync()
    replica.model.put({**key(3), **good}, {**key(4), **wrong}, {**key(1), **wrong})
    replica.sync()
    found = replica.sql(
        "SELECT created_at IS NULL, city, CAST(since AS VARCHAR), length(mail), card FROM orders "
        "ORDER BY city NULLS LAST, card NULLS FIRST"
    )
    fits, apart = (False, "Wien", "2020-02-29", 64, None), (True, None, None, 64, "****")
    assert found == [fits, apart, apart, apart]
    rests = {str(each) for (each,) in replica.sql("SELECT _rest FROM orders") if each}
    assert len(rests) == 1
    assert '"createdAt"' in rests.pop()
    assert replica.verdict().equal
