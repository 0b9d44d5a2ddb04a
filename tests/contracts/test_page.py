"""docs/tables.md: the contract of the page is used as it is, and its queries give their answers."""

import re
from typing import Any

import pytest
import yaml

from connector.core.contracts.contract import TYPE_WORDS, Format, Policy, parse_word
from connector.destinations.duckdb.types import duckdb_type
from connector.destinations.postgres.types import postgres_type
from tests.test_docs import PAGES, blocks

from .conftest import Made

PAGE = PAGES["docs/tables.md"].partition("\n## Contracts\n")[2].partition("\n## ")[0]
TABLE: dict[str, Any] = yaml.safe_load(blocks(PAGE, "yaml")[0])["tables"]["orders"]


def order(n: int, **more: dict[str, Any]) -> dict[str, Any]:
    """An order that fits, but for what is given."""
    return {
        "id": {"S": f"o{n}"},
        "placedAt": {"S": "2024-03-31T02:30:00+01:00"},
        "paidAt": {"N": "1711848600123"},
        "total": {"N": f"{n}.5"},
        "address": {"M": {"city": {"S": "Rome"}}},
        **more,
    }


def test_the_queries_find_what_does_not_fit(make: Made) -> None:
    replica = make(TABLE["columns"], contract=TABLE["contract"])
    null = {"NULL": True}
    replica.model.load([order(1), order(2, placedAt=null), order(3, total={"S": "n/a"})])
    replica.sync()
    assert replica.verdict().equal
    kind = "postgres" if replica.database else "duckdb"
    found = re.findall(rf"```sql(?: {kind})?\n(.*?);\n```\n", PAGE, re.DOTALL)
    assert [replica.sql(query) for query in found] == [[("o3", "n/a")], [("o2",)]]
    assert replica.sql("SELECT city, total FROM orders WHERE id = 'o3'") == [("Rome", None)]


@pytest.mark.parametrize("word", TYPE_WORDS)
def test_each_type_is_in_the_table_with_those_of_the_databases(word: str) -> None:
    type_ = parse_word(word.replace("p", "10").replace("s", "2") if "(" in word else word)
    spelled = [each.replace("10,2", "p,s") for each in (duckdb_type(type_), postgres_type(type_))]
    row = f"| `{word}` | `{spelled[0]}` | `{spelled[1]}` |"
    assert row in PAGE


@pytest.mark.parametrize("word", [*Policy, *Format])
def test_each_policy_and_each_format_is_in_a_table(word: str) -> None:
    assert re.search(rf"^\| [^|]*`{word}`", PAGE, re.MULTILINE)
