"""Rules that change: a name is applied to what is there, anything else needs a new read."""

from typing import Any

import pytest

from connector.config import loading as configuration
from connector.core.keys import KeyAttribute
from connector.core.rules.hash_key import VARIABLE
from connector.core.rules.rules import Rules
from connector.core.spec import check_rules
from connector.errors import ConfigError, ConnectorError, DestinationRefused, NeedsPerson
from tests.pipeline.replica import ORDERS, Replica, caught_up, key
from tests.rigs.scripted import Key, KeySchema

from .conftest import Made
from .oracle import digest

pytestmark = pytest.mark.by_turns("make")

COLUMNS = {"email": {"hash": True}}
REFRESH = f"connector snapshot {ORDERS} --full-refresh"

KEYS = (KeyAttribute("id", "S"),)

REFUSED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"email": {"hash": True}}),
    ({"email": {"hash": True}}, {}),
    ({"email": {"hash": True}}, {"email": {"mask": "-"}}),
    ({"email": {"mask": "-"}}, {"email": {"mask": "+"}}),
    ({}, {"email": {"exclude": True}}),
    ({}, {"m.x": {"hash": True}}),
    ({}, {"x": {"path": "m.x"}}),
    ({"x": {"path": "m.x"}}, {"x": {"path": "m.y"}}),
    ({}, {"id": {"hash": True}}),
]
"""Rules before and after that need a new read."""


def rules_of(columns: dict[str, Any]) -> Rules:
    """The rules of a table with these columns."""
    tables = {"tables": {ORDERS: {"columns": columns}}}
    to = "duckdb:///warehouse.duckdb"
    config = configuration.load(None, to=to, environment={}, overrides=tables)
    return config.tables[ORDERS].spec().rules


def begun(make: Made, columns: dict[str, Any], **table: Any) -> Replica:
    """A replica of three items."""
    replica = make(columns, **table)
    replica.model.load(
        {**key(n), "email": {"S": f"mail {n}"}, "n": {"N": str(n)}} for n in range(3)
    )
    replica.sync()
    return replica


def become(replica: Replica, columns: dict[str, Any], **table: Any) -> Replica:
    """Gives the table other rules."""
    replica.settings["tables"] = {ORDERS: {"columns": columns, **table}}
    return replica


def names(replica: Replica) -> dict[str, str]:
    """The column of each attribute, by the state."""
    return dict(replica.sql("SELECT attribute, column_name FROM _connector.columns"))


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_which_rules_need_a_new_read(case: int) -> None:
    before, after = map(rules_of, REFUSED[case])
    check_rules(ORDERS, KEYS, before, before)
    with pytest.raises(ConfigError) as caught:
        check_rules(ORDERS, KEYS, before, after)
    assert REFRESH in caught.value.hint


@pytest.mark.by_turns("make", "case", at_once=4)
@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_what_needs_a_new_read_is_refused_with_the_command(make: Made, case: int) -> None:
    before, after = REFUSED[case]
    replica = begun(make, before)
    shown = replica.sql(f"SELECT id, n FROM {ORDERS} ORDER BY id")
    become(replica, after)
    with pytest.raises(ConfigError) as caught:
        replica.sync()
    assert REFRESH in caught.value.hint
    with pytest.raises(ConfigError):
        replica.run().tail(caught_up)
    assert replica.sql(f"SELECT id, n FROM {ORDERS} ORDER BY id") == shown
    become(replica, before)
    replica.sync()
    become(replica, after).run().snapshot(full_refresh=True, yes=True)
    assert replica.verdict().equal


def test_unlisted_attributes_come_and_go_with_a_new_read(make: Made) -> None:
    replica = begun(make, {})
    become(replica, {"n": {}}, unlisted="exclude")
    with pytest.raises(ConfigError, match="unlisted"):
        replica.sync()
    replica.run().snapshot(full_refresh=True)
    assert replica.sql(f"SELECT DISTINCT email FROM {ORDERS}") == [(None,)]
    assert replica.verdict().equal


def test_another_hash_key_is_noticed(make: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = begun(make, COLUMNS)
    monkeypatch.setenv(VARIABLE, "another key, for what that is worth")
    replica.model.put({**key(9), "email": {"S": "mail 9"}})
    for run in (replica.sync, lambda: replica.run().tail(caught_up)):
        with pytest.raises(ConfigError, match=VARIABLE) as caught:
            run()
        assert REFRESH in caught.value.hint
        assert "another key, for" not in str(caught.value)
    run = replica.run()
    with pytest.raises(ConfigError, match=VARIABLE):
        run.ruling(replica.state())
    assert len(replica.sql(f"SELECT id FROM {ORDERS}")) == 3
    replica.run().snapshot(full_refresh=True)
    (digests,) = zip(*replica.sql(f"SELECT email FROM {ORDERS}"), strict=True)
    wanted = {digest({"S": f"mail {n}"}, b"another key, for what that is worth") for n in (0, 9)}
    assert wanted <= set(digests)
    assert replica.verdict().equal


def test_without_the_key_nothing_is_read(make: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = make(COLUMNS)
    for value in ("", None):
        if value is None:
            monkeypatch.delenv(VARIABLE)
        else:
            monkeypatch.setenv(VARIABLE, value)
        with pytest.raises(ConfigError, match=VARIABLE):
            replica.sync()
    assert replica.rig.calls.count("Scan") == 0
    assert replica.rig.calls.count("GetRecords") == 0


@pytest.mark.parametrize("attribute", ["id", "n", "email"])
def test_a_column_is_renamed_and_back(make: Made, attribute: str) -> None:
    replica = begun(make, COLUMNS)
    rule = COLUMNS.get(attribute, {})
    before = replica.sql(f"SELECT {attribute} FROM {ORDERS} ORDER BY id")
    become(replica, {**COLUMNS, attribute: {**rule, "rename": "New Name"}})
    replica.sync()
    assert names(replica)[attribute] == "New Name"
    assert sorted(replica.sql(f'SELECT "New Name" FROM {ORDERS}')) == sorted(before)
    replica.model.put({**key(3), "email": {"S": "x"}, "n": {"N": "3"}})
    replica.sync()
    assert replica.verdict().equal
    become(replica, COLUMNS)
    replica.sync()
    assert names(replica) == {"id": "id", "email": "email", "n": "n"}
    assert replica.verdict().equal


def test_two_columns_change_their_names(make: Made) -> None:
    replica = begun(make, {})
    become(replica, {"email": {"rename": "n"}, "n": {"rename": "email"}})
    replica.sync()
    assert names(replica) == {"id": "id", "email": "n", "n": "email"}
    assert replica.sql(f"SELECT n, email FROM {ORDERS} ORDER BY id LIMIT 1") == [("mail 0", 0)]
    become(replica, {"email": {"rename": "N2"}, "n": {"rename": "Email"}})
    replica.sync()
    assert names(replica) == {"id": "id", "email": "N2", "n": "Email"}
    assert replica.verdict().equal


@pytest.mark.parametrize("taken", ["n", "id"])
def test_a_name_that_is_taken_is_refused(make: Made, taken: str) -> None:
    replica = begun(make, {})
    become(replica, {"email": {"rename": taken}})
    with pytest.raises(ConfigError, match=taken):
        replica.sync()
    assert names(replica) == {"id": "id", "email": "email", "n": "n"}
    # It is refused as well for an attribute that no item has yet.
    become(replica, {"later": {"rename": taken}})
    with pytest.raises(ConfigError, match=taken):
        replica.sync()


def test_a_name_that_somebody_added_is_refused(make: Made) -> None:
    replica = begun(make, {})
    replica.by_hand(f"ALTER TABLE {ORDERS} ADD COLUMN mine INTEGER")
    become(replica, {"email": {"rename": "mine"}})
    with pytest.raises(ConfigError, match="mine"):
        replica.sync()


def test_a_wanted_name_is_kept_from_other_attributes(make: Made) -> None:
    replica = make({"later": {"rename": "n"}})
    replica.model.load([{**key(1), "n": {"N": "1"}}])
    replica.sync()
    assert names(replica)["n"] != "n"
    replica.model.put({**key(2), "later": {"S": "x"}})
    replica.sync()
    assert names(replica)["later"] == "n"
    assert replica.verdict().equal


def test_a_table_without_its_state_is_adopted_under_the_names(make: Made) -> None:
    columns = {**COLUMNS, "n": {"rename": "number"}, "id": {"rename": "order_id", "hash": True}}
    replica = begun(make, columns)
    run = replica.run()
    run.destination.reset(ORDERS, drop=False)
    replica.run().snapshot(yes=True)
    assert names(replica) == {"id": "order_id", "email": "email", "n": "number"}
    assert len(replica.sql(f"SELECT order_id, number FROM {ORDERS}")) == 3
    assert replica.verdict().equal


def test_a_state_without_rules_is_read_as_it_is(make: Made) -> None:
    replica = begun(make, {})
    old = (
        '{"layout":"columns","max_columns":500,"deletes":"apply",'
        '"snapshot":"scan","follow":"stream"}'
    )
    replica.by_hand(f"UPDATE _connector.tables SET spec = '{old}'")
    replica.sync()
    become(replica, {"n": {"rename": "number"}})
    replica.sync()
    assert names(replica)["n"] == "number"


@pytest.mark.parametrize(
    ("column", "rule"),
    [
        ("id", {"mask": "-"}),
        ("id", {"exclude": True}),
        ("id", {"path": "m.x"}),
        ("n", {"rename": "ID"}),
    ],
)
def test_what_would_leave_no_key_is_refused(make: Made, column: str, rule: dict[str, Any]) -> None:
    replica = make({column: rule})
    with pytest.raises(ConfigError, match="key"):
        replica.sync()
    assert replica.rig.calls.count("Scan") == 0


def test_a_key_is_hashed_by_a_full_refresh_that_was_confirmed(make: Made) -> None:
    replica = begun(make, {})
    become(replica, {"id": {"hash": True}})
    with pytest.raises(ConfigError) as caught:
        replica.sync()
    assert f"`{REFRESH} --yes`" in caught.value.hint
    with pytest.raises(NeedsPerson):
        replica.run().snapshot(full_refresh=True)
    replica.run().snapshot(yes=True)
    assert {id_ for (id_,) in replica.sql(f"SELECT id FROM {ORDERS}")} == {
        digest({"S": str(n)}) for n in range(3)
    }
    assert replica.verdict().equal


@pytest.mark.parametrize("tag", ["S", "N"])
def test_another_hash_key_of_a_key_is_taken_by_the_command_that_is_named(
    make: Made, monkeypatch: pytest.MonkeyPatch, tag: str
) -> None:
    replica = make({"id": {"hash": True}}, schema=KeySchema(Key("id", tag)))
    replica.model.load({"id": {tag: str(n)}} for n in range(3))
    replica.sync()
    monkeypatch.setenv(VARIABLE, "another key, for what that is worth")
    for run in (replica.sync, lambda: replica.run().ruling(replica.state())):
        with pytest.raises(ConfigError) as caught:
            run()
        assert f"`{REFRESH} --yes`" in caught.value.hint
    replica.run().snapshot(full_refresh=True, yes=True)
    assert replica.verdict().equal


@pytest.mark.parametrize(("tag", "values"), [("N", ["1", "2"]), ("B", ["AA==", "AQ=="])])
def test_a_key_that_is_no_text_is_hashed_only_in_a_new_table(
    make: Made, tag: str, values: list[str]
) -> None:
    replica = make({}, schema=KeySchema(Key("id", tag)))
    replica.model.load({"id": {tag: value}} for value in values)
    replica.sync()
    become(replica, {"id": {"hash": True}})
    with pytest.raises(ConfigError) as caught:
        replica.sync()
    assert "`connector reset orders --drop`" in caught.value.hint
    assert REFRESH not in caught.value.hint
    with pytest.raises(DestinationRefused, match="reset orders --drop"):
        replica.run().snapshot(full_refresh=True, yes=True)
    assert len(replica.sql(f"SELECT id FROM {ORDERS}")) == 2
    replica.run().destination.reset(ORDERS, drop=True)
    replica.sync()
    assert {each for (each,) in replica.sql(f"SELECT id FROM {ORDERS}")} == {
        digest({tag: value}) for value in values
    }
    assert replica.verdict().equal


def test_a_short_key_is_warned_of(
    make: Made, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(VARIABLE, "short-canary")
    begun(make, COLUMNS)
    (warning,) = [each for each in caplog.messages if VARIABLE in each]
    assert "short-canary" not in warning


def test_a_state_of_the_first_version_has_no_rules_either(make: Made) -> None:
    replica = begun(make, {})
    replica.by_hand("UPDATE _connector.tables SET spec = NULL")
    become(replica, COLUMNS)
    with pytest.raises(ConfigError) as caught:
        replica.sync()
    assert REFRESH in caught.value.hint


def test_a_column_that_something_depends_on(make: Made) -> None:
    replica = begun(make, {})
    replica.by_hand(f"CREATE INDEX mine ON {ORDERS} (n)")
    become(replica, {"n": {"rename": "number"}})
    try:
        replica.sync()
    except ConnectorError as error:
        assert error.exit_code == 2
        assert "index" in error.message
        assert names(replica)["n"] == "n"
        replica.by_hand("DROP INDEX mine")
        replica.sync()
    assert names(replica)["n"] == "number"
    assert replica.verdict().equal


def test_a_name_that_the_database_does_not_allow_is_refused(make: Made) -> None:
    long = "n" * 70_000
    replica = make({"n": {"rename": long}})
    with pytest.raises(ConfigError, match="allows no column"):
        replica.sync()
    assert replica.rig.calls.count("Scan") == 0
