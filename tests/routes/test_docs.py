"""The section on routes in docs/tables.md: its file and its queries, in both databases."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.rigs.scripted import ScriptedDynamoDB

from .routed import KEYS, Routed

PAGE = (Path(__file__).parents[2] / "docs" / "tables.md").read_text()
_MINE = PAGE[PAGE.index("## Routes") : PAGE.index("## History and changes")]
QUERIES = re.findall(r"```sql\n(.*?)```", _MINE, re.DOTALL)
(FILE,) = re.findall(r"```yaml\n(.*?)```", _MINE, re.DOTALL)


def placed(customer: str, order: str, total: int, version: str) -> dict[str, Any]:
    about = {"type": {"S": "order"}, "version": {"N": version}, "total": {"N": str(total)}}
    return {"pk": {"S": f"CUSTOMER#{customer}"}, "sk": {"S": f"ORDER#{order}"}, **about}


def named(customer: str) -> dict[str, Any]:
    key = {"pk": {"S": f"CUSTOMER#{customer}"}, "sk": {"S": "PROFILE"}}
    return {**key, "name": {"S": customer}}


def test_the_page(rig: ScriptedDynamoDB, tmp_path: Path, url: str) -> None:
    routes = yaml.safe_load(FILE)["tables"]["app"]["routes"]
    rig.create_table("app", KEYS)
    replica = Routed.of(rig, tmp_path, url, routes)
    replica.model.load([named("Ann"), named("Bob"), placed("Ann", "1", 5, "2.0")])
    replica.sync()
    replica.model.put(placed("Ann", "2", 7, "2"), placed("Bob", "3", 1, "2"))
    replica.model.put(placed("Bob", "4", 1, "1"))
    replica.sync()
    totals, kinds = map(replica.sql, QUERIES)
    assert [tuple(map(str, row)) for row in totals] == [("Ann", "2", "12"), ("Bob", "1", "1")]
    assert kinds == [("customer", 2), ("order", 3), ("other", 1)]
    assert replica.verdict().equal
