"""Rows that are too wide for Postgres keep late columns in `_rest`, declared ones as well."""

from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.replica import ORDERS, SCHEMA, Replica, key
from tests.rigs.scripted import ScriptedDynamoDB

LATE: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "z_at": ({"type": "timestamp"}, {"S": "2024-01-02T03:04:05.5+02:00"}, {"S": "no"}),
    "z_total": ({"type": "decimal(8,2)"}, {"N": "1.5"}, {"N": "1.555"}),
    "z_day": ({"type": "date"}, {"S": "2024-02-29"}, {"S": "2023-02-29"}),
    "z_id": ({"type": "uuid"}, {"S": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"}, {"S": "x"}),
    "z_n": ({"type": "integer"}, {"S": "12"}, {"S": "1.5"}),
    "z_s": ({"type": "string"}, {"N": "1.50"}, {"L": [{"N": "1"}]}),
    "z_yes": ({"type": "boolean"}, {"S": "true"}, {"N": "1"}),
    "z_any": ({"type": "json"}, {"M": {"x": {"N": "1"}}}, {"S": "fits"}),
}


@pytest.mark.parametrize("way", ["scan", "stream"])
def test_a_wide_row_of_declared_columns_equals_its_item(
    rig: ScriptedDynamoDB, tmp_path: Path, postgres: Any, way: str
) -> None:
    wide = {f"a{n:03}": {"S": "x" * 40} for n in range(340)}
    columns = {name: {"type": "string"} for name in wide} | {n: e[0] for n, e in LATE.items()}
    table = rig.create_table(ORDERS, SCHEMA)
    settings: dict[str, object] = {"tables": {ORDERS: {"columns": columns}}}
    replica = Replica(rig, tmp_path, settings=settings, database=postgres.url)
    fits, wrong = ({name: case[place] for name, case in LATE.items()} for place in (1, 2))
    items = [
        {**key("wide and right"), **wide, **fits},
        {**key("wide and wrong"), **wide, **wrong},
        {**key("right"), **fits},
        {**key("wrong"), **wrong},
    ]
    if way == "stream":
        replica.sync()
    table.put(*items)
    replica.sync()
    assert replica.verdict().equal
    found = dict(replica.sql(f"SELECT id, z_at IS NULL FROM {ORDERS}"))
    assert found == {each["id"]["S"]: each["id"]["S"] != "right" for each in items}
    replica.by_hand(f"UPDATE {ORDERS} SET _rest = _rest - 'z_total' WHERE id LIKE 'wide%'")
    assert replica.verdict().different.count == 2
