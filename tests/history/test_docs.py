"""The queries of docs/tables.md, run in both databases."""

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.pipeline.replica import Replica, key

PAGE = (Path(__file__).parents[2] / "docs" / "tables.md").read_text()
_MINE = PAGE[PAGE.index("## History and changes") :]
QUERIES = re.findall(r"```sql\n(.*?)```", _MINE, re.DOTALL)

EARLY = datetime(2030, 1, 1, 12, tzinfo=UTC).timestamp()


def with_status(id_: str, status: str) -> dict[str, Any]:
    return {**key(id_), "status": {"S": status}}


def test_every_query_of_the_page(replica: Replica) -> None:
    replica.model.load([with_status("a", "new"), with_status("b", "new")])
    replica.sync()
    replica.model.put(with_status("a", "paid"), with_status("a", "sent"))
    replica.model.expire(key("b"))
    replica.sync()
    now, life, present, different, became, lasted, changed, expired, days = map(
        replica.sql, QUERIES
    )
    assert [row[1] for row in now] == ["sent"]
    assert life == [
        (1, "new", "snapshot", "update"),
        (2, "paid", "update", "update"),
        (3, "sent", "update", None),
    ]
    assert [row[:2] for row in present] == [("a", "sent")]
    # Both times are later than all that was changed.
    assert different == []
    assert became == [("new", "paid", 1), ("paid", "sent", 1)]
    assert lasted == [("new", 2), ("paid", 1)]
    assert changed == [
        ("a", "update", "new", "paid"),
        ("a", "update", "paid", "sent"),
        ("b", "delete", "new", None),
    ]
    assert expired == [("b",)]
    assert [row[1:] for row in days] == [("delete", 1), ("update", 1)]


def test_the_queries_of_two_times_say_what_was_different(replica: Replica) -> None:
    replica.rig.clock.set(EARLY - time.time())
    replica.model.load([with_status("a", "new"), with_status("b", "new")])
    replica.sync()
    for _ in range(2):
        replica.rig.clock.advance(hours=12)
        replica.sync()
    replica.model.put(with_status("a", "paid"), with_status("c", "new"))
    replica.model.delete(key("b"))
    replica.sync()
    then, _, _, different, *_ = map(replica.sql, QUERIES)
    assert then == [("a", "new"), ("b", "new")]
    assert different == [("a", "new", "paid"), ("b", "new", None), ("c", None, "new")]
