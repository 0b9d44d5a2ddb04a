"""The queries of docs/tables.md, run in both databases."""

import re
from pathlib import Path
from typing import Any

from tests.pipeline.replica import Replica, key

PAGE = (Path(__file__).parents[2] / "docs" / "tables.md").read_text()
_MINE = PAGE[PAGE.index("## History and changes") :]
QUERIES = re.findall(r"```sql\n(.*?)```", _MINE, re.DOTALL)


def with_status(id_: str, status: str) -> dict[str, Any]:
    return {**key(id_), "status": {"S": status}}


def test_every_query_of_the_page(replica: Replica) -> None:
    replica.model.load([with_status("a", "new"), with_status("b", "new")])
    replica.sync()
    replica.model.put(with_status("a", "paid"), with_status("a", "sent"))
    replica.model.expire(key("b"))
    replica.sync()
    now, life, present, lasted, changed, expired = map(replica.sql, QUERIES)
    assert [row[1] for row in now] == ["sent"]
    assert life == [
        (1, "new", "snapshot", "update"),
        (2, "paid", "update", "update"),
        (3, "sent", "update", None),
    ]
    assert [row[:2] for row in present] == [("a", "sent")]
    assert lasted == [("new", 2), ("paid", 1)]
    assert changed == [
        ("a", "update", "new", "paid"),
        ("a", "update", "paid", "sent"),
        ("b", "delete", "new", None),
    ]
    assert expired == [("b",)]
