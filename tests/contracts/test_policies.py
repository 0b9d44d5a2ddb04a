"""What becomes of items that do not fit, under each policy, in scans and in streams."""

import json
from typing import Any

import pytest

from connector.errors import ContractBroken, QuarantineLimit
from tests.pipeline.replica import Replica, key

from .conftest import Made

pytestmark = pytest.mark.by_turns("make", "way")

CANARY = "c4n4ry"
COLUMNS = {
    "at": {"type": "timestamp"},
    "total": {"type": "decimal(6,2)"},
    "name": {"type": "string", "required": True},
}


def item(id_: object, **attributes: dict[str, Any]) -> dict[str, Any]:
    """An item that fits, but for what is given."""
    fits = {
        "at": {"S": "2024-03-31T02:30:00+01:00"},
        "total": {"N": "12.50"},
        "name": {"S": "fits"},
    }
    kept = {name: value for name, value in (fits | attributes).items() if value}
    return {**key(id_), **kept}


WRONG = {
    "late": item("late", at={"S": CANARY}),
    "much": item("much", total={"N": "12345.67"}),
    "fine": item("fine", total={"N": "0.001"}, name={"S": "x"}),
    "unnamed": item("unnamed", name={}),
    "null": item("null", name={"NULL": True}),
    "nested": item("nested", at={"M": {"x": {"L": [{"N": "1.10"}, {"B": "AAE="}]}}}),
}


def rest(replica: Replica) -> dict[str, Any]:
    """What is in `_rest`, by id."""
    found = replica.sql("SELECT id, _rest FROM orders WHERE _rest IS NOT NULL")
    return {id_: json.loads(text) for id_, text in found}


def column(replica: Replica, name: str) -> dict[str, Any]:
    """The values of a column, by id, as text."""
    return dict(replica.sql(f'SELECT id, CAST("{name}" AS VARCHAR) FROM orders'))


def quarantined(replica: Replica) -> dict[str, str]:
    """The reason by key."""
    return dict(replica.sql("SELECT key, reason FROM _connector.quarantine"))


def written(replica: Replica, way: str, *items: dict[str, Any]) -> None:
    """Brings items to the table, in its scan or by its stream."""
    if way == "stream":
        replica.sync()
    replica.model.put(*items)
    replica.sync()


@pytest.fixture(params=["scan", "stream"])
def way(request: pytest.FixtureRequest) -> str:
    """How items come."""
    return str(request.param)


@pytest.mark.parametrize("policy", ["evolve", "freeze"])
def test_a_value_that_does_not_fit_is_in_rest_and_its_column_is_null(
    make: Made, way: str, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    replica = make(COLUMNS, contract=policy)
    written(replica, way, item("good"), *WRONG.values())
    assert rest(replica) == {
        "late": {"at": CANARY},
        "much": {"total": 12345.67},
        "fine": {"total": 0.001},
        "nested": {"at": {"x": [1.1, "AAE="]}},
    }
    totals = column(replica, "total")
    assert totals == dict.fromkeys(["good", *WRONG], "12.50") | {"much": None, "fine": None}
    assert [id_ for id_, at in column(replica, "at").items() if at is None] == ["late", "nested"]
    assert {id_ for id_, name in column(replica, "name").items() if name is None} == {
        "unnamed",
        "null",
    }
    assert replica.verdict().equal
    told = {each.getMessage() for each in caplog.records if "fit what is declared" in each.message}
    assert len(told) == 3
    assert any("2 values of 'total' do not fit" in each and "decimal(6,2)" in each for each in told)
    assert any("2 values of 'name' do not fit" in each for each in told)
    assert CANARY not in caplog.text


def test_undeclared_attributes_still_get_columns_and_declared_ones_are_never_widened(
    make: Made, way: str
) -> None:
    replica = make(COLUMNS)
    written(replica, way, item("good"), WRONG["late"], item("more", gift={"BOOL": True}))
    assert column(replica, "gift")["more"] in ("true", "t")
    kinds = {name: column.type.kind for name, column in replica.state().columns.items()}
    assert (kinds["at"], kinds["total"], kinds["gift"]) == ("timestamp", "fixed", "boolean")
    replica.model.put(item("wider", gift={"N": "1"}, total={"S": "n/a"}))
    replica.sync()
    kinds = {name: column.type.kind for name, column in replica.state().columns.items()}
    assert (kinds["total"], kinds["gift"]) == ("fixed", "json")
    assert replica.verdict().equal


def test_frozen_columns_are_those_that_are_declared(make: Made, way: str) -> None:
    replica = make({**COLUMNS, "note": {}}, contract="freeze")
    new = item("new", note={"S": "listed"}, gift={"BOOL": True}, at={"S": "no"})
    written(replica, way, item("good"), new)
    assert set(replica.state().columns) == {"id", "at", "total", "name", "note"}
    assert rest(replica) == {"new": {"gift": True, "at": "no"}}
    replica.model.put(item("good", gift={"N": "2"}))
    replica.sync()
    assert rest(replica)["good"] == {"gift": 2}
    assert replica.verdict().equal


def test_a_contract_without_columns_freezes_what_the_first_load_found(make: Made) -> None:
    replica = make({}, contract="freeze")
    replica.model.put(item(1), item(2, gift={"S": "x"}))
    replica.sync()
    replica.model.put(item(3, later={"S": "y"}))
    replica.sync()
    assert set(replica.state().columns) == {"id", "at", "total", "name", "gift"}
    assert rest(replica) == {"3": {"later": "y"}}
    assert replica.verdict().equal
    replica.run().snapshot(full_refresh=True)
    assert set(replica.state().columns) == {"id", "at", "total", "name", "gift"}
    assert replica.verdict().equal


def test_items_that_do_not_fit_are_quarantined_by_their_key(make: Made, way: str) -> None:
    replica = make(COLUMNS, contract="quarantine")
    written(replica, way, item("good"), *WRONG.values())
    assert column(replica, "name") == {"good": "fits"}
    reasons = quarantined(replica)
    assert reasons == {
        '["late"]': "at does not fit its declared type timestamp from iso8601",
        '["much"]': "total does not fit its declared type decimal(6,2)",
        '["fine"]': "total does not fit its declared type decimal(6,2)",
        '["unnamed"]': "name is required, and absent or null",
        '["null"]': "name is required, and absent or null",
        '["nested"]': "at does not fit its declared type timestamp from iso8601",
    }
    assert replica.verdict().missing.count == len(WRONG)


def test_a_quarantined_item_takes_its_old_row_with_it_and_comes_back_once_it_fits(
    make: Made,
) -> None:
    replica = make(COLUMNS, contract="quarantine")
    replica.model.put(item("a"), item("b"), item("c"))
    replica.sync()
    replica.model.put(item("a", at={"N": "5"}), item("b", name={}))
    replica.model.delete(key("c"))
    replica.sync()
    assert column(replica, "name") == {}
    replica.model.put(item("a"), item("b", name={"S": "again"}))
    replica.sync()
    assert column(replica, "name") == {"a": "fits", "b": "again"}
    assert replica.verdict().equal


def test_too_many_of_them_stop_the_run(make: Made, way: str) -> None:
    replica = make(COLUMNS, contract="quarantine")
    replica.settings["quarantine.limit"] = 2
    with pytest.raises(QuarantineLimit, match="declared type"):
        written(replica, way, item("good"), *WRONG.values())


@pytest.mark.by_turns("make")
@pytest.mark.parametrize("wrong", sorted(WRONG))
def test_a_table_that_fails_stops_before_anything_of_the_batch_is_written(
    make: Made, way: str, wrong: str
) -> None:
    replica = make(COLUMNS, contract="fail")
    with pytest.raises(ContractBroken) as caught:
        written(replica, way, item("good"), WRONG[wrong])
    error = caught.value
    assert error.exit_code == 3
    name = next(n for n in COLUMNS if WRONG[wrong].get(n) != item(wrong).get(n))
    assert error.message.startswith(f"orders: {name} ")
    assert f'["{wrong}"]' in error.message
    assert CANARY not in str(error)
    assert column(replica, "name") == {}
    replica.model.put(item(wrong))
    if way == "scan":
        replica.sync()
        assert column(replica, "name") == {"good": "fits", wrong: "fits"}
        assert replica.verdict().equal


def test_a_delete_lacks_nothing(make: Made) -> None:
    replica = make(COLUMNS, contract="fail")
    replica.model.put(item("a"), item("b"))
    replica.sync()
    replica.model.delete(key("a"))
    replica.sync()
    assert column(replica, "name") == {"b": "fits"}
