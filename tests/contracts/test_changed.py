"""Contracts that change: what the rows are already is applied, anything else needs a new read."""

from typing import Any

import pytest

from connector.config import loading as configuration
from connector.core.contracts.changed import NO_FACTS, ContractFacts, check_contract
from connector.core.contracts.contract import Contract
from connector.errors import ConfigError
from tests.pipeline.replica import ORDERS, Replica, caught_up, key

from .conftest import Made

pytestmark = pytest.mark.by_turns("make")

REFRESH = f"connector snapshot {ORDERS} --full-refresh"
WORD = {"w": {"type": "string"}}
TIME = {"at": {"type": "timestamp"}}
COUNT = {"n": {"type": "integer"}}
WHOLE = {"w": {"type": "integer"}}
NEEDED = {"x": {"required": True}}

Contracted = tuple[dict[str, Any], dict[str, Any]]
Case = tuple[Contracted, Contracted, ContractFacts]

UNFIT = ContractFacts(unfit=True)
OVERFLOWED = ContractFacts(overflowed=True)
EXACT = ContractFacts(exact=frozenset(("w", "n", "never")))

REFUSED: list[Case] = [
    (({}, {}), (TIME, {}), NO_FACTS),
    ((TIME, {}), ({}, {}), NO_FACTS),
    ((TIME, {}), ({"at": {"type": "string"}}, {}), NO_FACTS),
    (({}, {}), ({"n": {"type": "decimal(4,1)"}}, {}), NO_FACTS),
    (({"n": {"type": "decimal(4,1)"}}, {}), ({"n": {"type": "decimal(5,1)"}}, {}), NO_FACTS),
    (
        ({"n": {"type": "timestamp", "from": "epoch_s"}}, {}),
        ({"n": {"type": "timestamp", "from": "epoch_ms"}}, {}),
        NO_FACTS,
    ),
    ((WHOLE, {}), (WHOLE, {"contract": "quarantine"}), UNFIT),
    ((WHOLE, {}), (WHOLE, {"contract": "fail"}), UNFIT),
    ((NEEDED, {}), (NEEDED, {"contract": "quarantine"}), UNFIT),
    ((COUNT, {"contract": "fail"}), ({**COUNT, **NEEDED}, {"contract": "fail"}), UNFIT),
    ((COUNT, {"contract": "freeze"}), (COUNT, {}), OVERFLOWED),
    ((COUNT, {"contract": "freeze"}), ({**COUNT, "w": {}}, {"contract": "freeze"}), OVERFLOWED),
]
"""Contracts before and after that need a new read, and what of the table says so."""

APPLIED: list[Case] = [
    (({}, {}), (WORD, {}), EXACT),
    (({}, {}), (COUNT, {}), EXACT),
    (({}, {}), ({"never": {"type": "uuid"}}, {}), EXACT),
    (({}, {}), ({}, {"contract": "freeze"}), NO_FACTS),
    (({}, {}), (WORD, {"contract": "fail"}), EXACT),
    ((WHOLE, {}), (WHOLE, {"contract": "freeze"}), OVERFLOWED),
    ((COUNT, {"contract": "fail"}), (COUNT, {}), NO_FACTS),
    ((COUNT, {"contract": "fail"}), (COUNT, {"contract": "quarantine"}), NO_FACTS),
    ((WHOLE, {"contract": "quarantine"}), (WHOLE, {}), NO_FACTS),
    (({**WORD, "n": {}, "at": {}}, {"contract": "freeze"}), (WORD, {}), NO_FACTS),
    ((NEEDED, {}), ({}, {}), UNFIT),
    (({"n": {"required": True}}, {}), ({"n": {"required": True}}, {"contract": "fail"}), NO_FACTS),
    (
        (COUNT, {"contract": "fail"}),
        ({"n": {"type": "integer", "required": True}}, {"contract": "fail"}),
        NO_FACTS,
    ),
    (({**WORD, **COUNT}, {}), ({**COUNT, **WORD}, {}), NO_FACTS),
]
"""Those that the rows are as already."""


def contract_of(contracted: Contracted) -> Contract:
    """The contract of a table with these columns and settings."""
    columns, table = contracted
    tables = {"tables": {ORDERS: {"columns": columns, **table}}}
    to = "duckdb:///warehouse.duckdb"
    config = configuration.load(None, to=to, environment={}, overrides=tables)
    return config.tables[ORDERS].spec().contract


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_which_contracts_need_a_new_read(case: int) -> None:
    before, after, facts = REFUSED[case]
    with pytest.raises(ConfigError) as caught:
        check_contract(ORDERS, contract_of(before), contract_of(after), facts)
    assert REFRESH in caught.value.hint


@pytest.mark.parametrize("case", range(len(APPLIED)))
def test_which_contracts_need_none(case: int) -> None:
    before, after, facts = APPLIED[case]
    check_contract(ORDERS, contract_of(before), contract_of(after), facts)


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


@pytest.mark.by_turns("make", "case", at_once=6)
@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_what_needs_a_new_read_is_refused_with_the_command(make: Made, case: int) -> None:
    before, after, _ = REFUSED[case]
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


@pytest.mark.by_turns("make", "case", at_once=7)
@pytest.mark.parametrize("case", range(len(APPLIED)))
def test_what_the_rows_are_already_is_applied_in_one_transaction(make: Made, case: int) -> None:
    before, after, _ = APPLIED[case]
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
