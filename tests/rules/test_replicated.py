"""Rules on whole runs, on both destinations: by scan, by stream, and by what verify says."""

from typing import Any

import pytest

from connector.errors import ConfigError
from connector.events import quiet
from connector.pipeline.comparing.sample import Sample
from connector.pipeline.repair import Repair
from connector.pipeline.verify import Verdict, verify
from tests.pipeline.replica import ORDERS, Replica, key
from tests.rigs.scripted import Key, KeySchema

from .conftest import Made
from .oracle import digest

pytestmark = pytest.mark.by_turns("make")

COLUMNS = {
    "email": {"hash": True, "rename": "mail"},
    "card": {"mask": "****"},
    "info.secret": {"exclude": True},
    "lines[].note": {"hash": True},
    "city": {"path": "address.city"},
    "notes": {"path": "lines[].note"},
    "gone": {"exclude": True},
}


def item(n: int, **more: Any) -> dict[str, Any]:
    """An item with something for each rule."""
    return {
        **key(n),
        "email": {"S": f"user{n}@example.com"},
        "card": {"N": f"1234{n}"},
        "info": {"M": {"secret": {"S": "hush"}, "open": {"N": "1"}}},
        "lines": {"L": [{"M": {"note": {"S": f"note {n}"}}}, {"M": {"other": {"N": "2"}}}]},
        "address": {"M": {"city": {"S": "Rome"}, "zip": {"S": "00100"}}},
        "gone": {"B": "AA=="},
        **more,
    }


def row(n: int) -> tuple[Any, ...]:
    """The row that it becomes."""
    note = digest({"S": f"note {n}"})
    return (
        str(n),
        digest({"S": f"user{n}@example.com"}),
        "****",
        '{"open":1}',
        f'[{{"note":"{note}"}},{{"other":2}}]',
        "Rome",
        f'["{note}"]',
    )


def rows(replica: Replica) -> list[tuple[Any, ...]]:
    """The rows as they are read with SQL; JSON as text without spaces."""
    json = [f"replace(replace(CAST({n} AS TEXT), ': ', ':'), ', ', ',')" for n in ("info", "lines")]
    notes = "replace(CAST(notes AS TEXT), ', ', ',')"
    return replica.sql(
        f"SELECT id, mail, card, {', '.join(json)}, city, {notes} FROM {ORDERS} ORDER BY id"
    )


def compared(replica: Replica, repair: bool = False, share: float | None = None) -> Verdict:
    """What `connector verify` finds, and mends if it is asked to."""
    run = replica.run()
    state = replica.state()
    repairs = Repair(run.lookup, run.destination, run.encoder(state), 100)
    return verify(
        run.pages,
        run.lookup,
        run.destination,
        state,
        segments=2,
        tail=lambda: None,
        listener=quiet,
        sample=None if share is None else Sample(share),
        repair=(lambda *what: repairs.run(state, *what)) if repair else None,
        ruling=run.ruling(state),
    )


def test_scanned_and_streamed_items_become_the_same_rows(make: Made) -> None:
    replica = make(COLUMNS)
    replica.model.load(item(n) for n in range(3))
    replica.sync()
    assert rows(replica) == [row(n) for n in range(3)]
    replica.model.put(*(item(n, email={"S": "new"}) for n in range(3)), item(3))
    replica.model.put(*(item(n) for n in range(3)))
    replica.model.delete(key(1))
    replica.sync()
    assert rows(replica) == [row(0), row(2), row(3)]
    assert compared(replica).equal
    names = {column for (column,) in replica.sql("SELECT column_name FROM _connector.columns")}
    assert names == {"id", "mail", "card", "info", "lines", "city", "notes", "address"}


def test_only_listed_attributes_are_kept(make: Made) -> None:
    columns = {"email": {"hash": True}, "info.secret": {"exclude": True}, "listed": {}}
    replica = make({**columns, "city": {"path": "address.city"}}, unlisted="exclude")
    replica.model.load([item(1, listed={"N": "5"}), item(2)])
    replica.sync()
    replica.model.put(item(3, listed={"S": "five"}, later={"S": "x"}))
    replica.sync()
    names = {column for (column,) in replica.sql("SELECT column_name FROM _connector.columns")}
    assert names == {"id", "email", "info", "listed", "city"}
    assert compared(replica).equal


@pytest.mark.parametrize("tag", ["S", "N", "B"])
def test_a_hashed_key_of_any_type_is_written_changed_and_deleted(make: Made, tag: str) -> None:
    values = {"S": ["a", "b", "ü"], "N": ["1", "2.50", "-3E2"], "B": ["AA==", "AQ==", "Ag=="]}[tag]
    replica = make({"id": {"hash": True}}, schema=KeySchema(Key("id", tag)))
    replica.model.load({"id": {tag: each}, "n": {"N": "0"}} for each in values)
    replica.sync()
    wanted = {digest({tag: each}): 0 for each in values}
    assert dict(replica.sql(f"SELECT id, n FROM {ORDERS}")) == wanted
    replica.model.put({"id": {tag: values[0]}, "n": {"N": "7"}})
    replica.model.delete({"id": {tag: values[1]}})
    replica.sync()
    assert dict(replica.sql(f"SELECT id, n FROM {ORDERS}")) == {
        digest({tag: values[0]}): 7,
        digest({tag: values[2]}): 0,
    }
    assert compared(replica).equal


def test_tables_join_on_hashed_keys(make: Made) -> None:
    orders = make({"customer": {"hash": True}})
    customers = make({"id": {"hash": True, "rename": "customer"}}, name="customers")
    orders.model.load(
        {**key(n), "customer": {"S": f"c{n % 2}"}, "n": {"N": str(n)}} for n in range(4)
    )
    customers.model.load({**key(f"c{n}"), "town": {"S": f"town {n}"}} for n in range(2))
    orders.sync()
    customers.sync()
    assert orders.sql(
        "SELECT town, CAST(sum(n) AS BIGINT) FROM orders JOIN customers USING (customer) "
        "GROUP BY town ORDER BY town"
    ) == [("town 0", 2), ("town 1", 4)]


def test_what_differs_under_a_hashed_key_is_found_and_mended(make: Made) -> None:
    replica = make({"id": {"hash": True}})
    replica.model.load({**key(n), "n": {"N": str(n)}} for n in range(5))
    replica.sync()
    zero, one, ghost = (digest({"S": text}) for text in ("0", "1", "ghost"))
    replica.by_hand(f"UPDATE {ORDERS} SET n = 99 WHERE id = '{zero}'")
    replica.by_hand(f"DELETE FROM {ORDERS} WHERE id = '{one}'")
    replica.by_hand(
        f"INSERT INTO {ORDERS} (id, n, _changed_at, _commit) "
        f"SELECT '{ghost}', n, _changed_at, _commit FROM {ORDERS} WHERE n = 99"
    )
    verdict = compared(replica)
    assert (verdict.missing.keys, verdict.extra.keys, verdict.different.keys) == (
        [f'["{one}"]'],
        [f'["{ghost}"]'],
        [f'["{zero}"]'],
    )
    mended = compared(replica, repair=True)
    assert mended.equal
    assert mended.repaired is not None
    assert mended.repaired.count == 3
    assert dict(replica.sql(f"SELECT id, n FROM {ORDERS}")) == {
        digest({"S": str(n)}): n for n in range(5)
    }


def test_a_sample_cannot_look_up_hashed_keys(make: Made) -> None:
    replica = make({"id": {"hash": True}})
    replica.sync()
    with pytest.raises(ConfigError, match="without --sample"):
        compared(replica, share=0.5)


def test_the_column_of_a_path_leaves_the_attribute_of_that_name_its_own(make: Made) -> None:
    replica = make({"city": {"path": "address.city"}})
    replica.model.load([item(1, city={"S": "of its own"}), item(2)])
    replica.sync()
    replica.model.put(item(3, city={"N": "3"}))
    replica.sync()
    assert replica.sql(f'SELECT id, city, "\\city" FROM {ORDERS} ORDER BY id') == [
        ("1", "Rome", '"of its own"'),
        ("2", "Rome", None),
        ("3", "Rome", "3"),
    ]
    assert compared(replica).equal


def test_what_is_left_out_need_not_be_valid(make: Made) -> None:
    replica = make({"n": {"exclude": True}, "m.n": {"mask": "-"}})
    bad = [{"ZZ": "1"}, {"N": "NaN"}, {"S": "\ud800"}, {"B": "*"}, {"SS": []}]
    replica.model.load({**key(index), "n": value} for index, value in enumerate(bad))
    replica.sync()
    replica.model.put(*({**key(f"s{index}"), "n": value} for index, value in enumerate(bad)))
    replica.sync()
    assert replica.state().quarantined == 0
    assert len(replica.sql(f"SELECT id FROM {ORDERS}")) == 2 * len(bad)
    assert compared(replica).equal
