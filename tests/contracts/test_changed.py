"""Contracts that change: what the rows are already is applied, anything else needs a new read."""

from typing import Any

import pytest

from connector.errors import ConfigError
from tests.pipeline.replica import ORDERS, Replica, caught_up, key

from .conftest import Made

pytestmark = pytest.mark.by_turns("make")

REFRESH = f"connector snapshot {ORDERS} --full-refresh"
WORD = {"w": {"type": "string"}}
TIME = {"at": {"type": "timestamp"}}
COUNT = {"n": {"type": "integer"}}


def begun(make: Made, columns: dict[str, Any], **table: Any) -> Replica:
    """A replica of four items, of which the last does not fit an integer in w or a time in n."""
    replica = make(columns, **table)
    replica.model.load(
        {
            **key(n),
            "w": {"S": f"word {n}" if n else "12"},
            "n": {"N": str(n)},
            "at": {"S": f"2024-01-0{n + 1}T00:00:00Z"},
        }
        for n in range(4)
    )
    replica.sync()
    return replica


def become(replica: Replica, columns: dict[str, Any], **table: Any) -> Replica:
    """Gives the table another contract."""
    replica.settings["tables"] = {ORDERS: {"columns": columns, **table}}
    return replica


def types(replica: Replica) -> dict[str, str]:
    """The SQL type of each column."""
    schema = "public" if replica.database else "main"
    found = replica.sql(
        "SELECT column_name, data_type FROM information_schema.columns "
        f"WHERE table_schema = '{schema}' AND table_name = '{ORDERS}'"
    )
    return {name: str(sql).lower() for name, sql in found}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (({}, {}), (TIME, {})),
        ((TIME, {}), ({}, {})),
        ((TIME, {}), ({"at": {"type": "string"}}, {})),
        (({}, {}), ({"n": {"type": "decimal(4,1)"}}, {})),
        (({"n": {"type": "decimal(4,1)"}}, {}), ({"n": {"type": "decimal(5,1)"}}, {})),
        (
            ({"n": {"type": "timestamp", "from": "epoch_s"}}, {}),
            ({"n": {"type": "timestamp", "from": "epoch_ms"}}, {}),
        ),
        (
            ({"w": {"type": "integer"}}, {}),
            ({"w": {"type": "integer"}}, {"contract": "quarantine"}),
        ),
        (({"w": {"type": "integer"}}, {}), ({"w": {"type": "integer"}}, {"contract": "fail"})),
        (
            ({"x": {"required": True}}, {}),
            ({"x": {"required": True}}, {"contract": "quarantine"}),
        ),
        ((COUNT, {"contract": "fail"}), ({**COUNT, "x": {"required": True}}, {"contract": "fail"})),
        ((COUNT, {"contract": "freeze"}), (COUNT, {})),
        ((COUNT, {"contract": "freeze"}), ({**COUNT, "w": {}}, {"contract": "freeze"})),
    ],
)
def test_what_needs_a_new_read_is_refused_with_the_command(
    make: Made,
    before: tuple[dict[str, Any], dict[str, Any]],
    after: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    replica = begun(make, before[0], **before[1])
    shown = replica.sql(f"SELECT id FROM {ORDERS} ORDER BY id"), types(replica)
    become(replica, after[0], **after[1])
    replica.settings["quarantine.limit"] = 100
    with pytest.raises(ConfigError) as caught:
        replica.sync()
    assert caught.value.exit_code == 2
    assert REFRESH in caught.value.hint
    with pytest.raises(ConfigError):
        replica.run().tail(caught_up)
    assert (replica.sql(f"SELECT id FROM {ORDERS} ORDER BY id"), types(replica)) == shown
    become(replica, before[0], **before[1])
    replica.sync()
    fails = after[1].get("contract") == "fail"
    if fails:
        replica.model.put(
            *({**item, "w": {"S": "3"}, "x": {"S": "there"}} for item in replica.model.items())
        )
    become(replica, after[0], **after[1]).run().snapshot(full_refresh=True, yes=True)
    verdict = replica.verdict()
    gone = replica.sql("SELECT count(DISTINCT key) FROM _connector.quarantine")[0][0]
    assert (verdict.different.count, verdict.extra.count) == (0, 0)
    assert verdict.missing.count == gone
    assert not [name for name in types(replica) if "before" in name]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (({}, {}), (WORD, {})),
        (({}, {}), (COUNT, {})),
        (({}, {}), ({"never": {"type": "uuid"}}, {})),
        (({}, {}), ({}, {"contract": "freeze"})),
        (({}, {}), (WORD, {"contract": "fail"})),
        (({"w": {"type": "integer"}}, {}), ({"w": {"type": "integer"}}, {"contract": "freeze"})),
        ((COUNT, {"contract": "fail"}), (COUNT, {})),
        ((COUNT, {"contract": "fail"}), (COUNT, {"contract": "quarantine"})),
        (
            ({"w": {"type": "integer"}}, {"contract": "quarantine"}),
            ({"w": {"type": "integer"}}, {}),
        ),
        (
            ({"w": {"type": "string"}, "n": {}, "at": {}}, {"contract": "freeze"}),
            ({"w": {"type": "string"}}, {}),
        ),
        (({"x": {"required": True}}, {}), ({}, {})),
        (({"n": {"required": True}}, {}), ({"n": {"required": True}}, {"contract": "fail"})),
        (
            (COUNT, {"contract": "fail"}),
            ({"n": {"type": "integer", "required": True}}, {"contract": "fail"}),
        ),
        (({**WORD, **COUNT}, {}), ({**COUNT, **WORD}, {})),
    ],
)
def test_what_the_rows_are_already_is_applied_in_one_transaction(
    make: Made,
    before: tuple[dict[str, Any], dict[str, Any]],
    after: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    replica = begun(make, before[0], **before[1])
    generation = replica.state().generation
    become(replica, after[0], **after[1])
    replica.model.put({**key(9), "w": {"S": "1"}, "n": {"N": "9"}})
    replica.sync()
    assert replica.state().generation == generation
    declared = {name for name, entry in after[0].items() if "type" in entry}
    assert declared <= replica.state().columns.keys()
    gone = replica.sql("SELECT count(*) FROM _connector.quarantine")[0][0]
    verdict = replica.verdict()
    assert (verdict.different.count, verdict.missing.count) == (0, gone)


def test_rows_of_earlier_types_stay_readable_until_they_are_read_again(make: Made) -> None:
    replica = begun(make, {})
    become(replica, {**TIME, "n": {"type": "decimal(6,2)"}}).run().snapshot(full_refresh=True)
    assert "timestamp" in types(replica)["at"]
    assert replica.verdict().equal
    become(replica, {}).run().snapshot(full_refresh=True)
    kinds = {name: column.type.kind for name, column in replica.state().columns.items()}
    assert (kinds["at"], kinds["n"]) == ("string", "integer")
    assert replica.verdict().equal


@pytest.mark.parametrize("kept", [{"history": True}, {"changes": True}, {"deletes": "soft"}])
def test_what_is_kept_beside_a_table_follows_its_types(make: Made, kept: dict[str, Any]) -> None:
    replica = begun(make, TIME, **kept)
    replica.model.put({**key(1), "at": {"S": "2025-06-07T08:09:10+02:00"}})
    replica.model.put({**key(2), "at": {"S": "no time"}})
    replica.model.delete(key(3))
    replica.sync()
    assert replica.verdict().equal
    become(replica, {"at": {"type": "date"}}, **kept).run().snapshot(full_refresh=True, yes=True)
    assert replica.verdict().equal
    replica.model.put({**key(0), "at": {"S": "2024-02-29"}})
    replica.sync()
    assert replica.verdict().equal
    if "history" in kept:
        found = replica.sql(f'SELECT id, "at" FROM {ORDERS}__history WHERE _valid_to IS NULL')
        assert str(dict(found)["0"]) in ("2024-02-29", '"2024-02-29"')
        ended = replica.sql(
            f"SELECT id, CAST(\"at\" AS VARCHAR) FROM {ORDERS}__history WHERE id = '1' "
            "ORDER BY _version"
        )
        assert len(ended) >= 2
