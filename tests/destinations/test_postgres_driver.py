"""What ADBC does with Arrow's types, and that nothing of it is seen in a table."""

from decimal import Decimal
from itertools import product

import pyarrow as pa
import pytest
from adbc_driver_postgresql import dbapi

from connector.core.rows import CHANGED_AT
from connector.errors import DestinationRefused
from tests.rigs.postgres import Database

from .postgres_story import told, types_of
from .story import Story, put


@pytest.fixture
def story(postgres: Database) -> Story:
    return told(postgres)


def item(key: str, **values: dict[str, object]) -> dict[str, dict[str, object]]:
    """An item."""
    return {"id": {"S": key}, **values}


def ways(story: Story, *items: dict[str, dict[str, object]]) -> None:
    """Brings each item in by a merge, by a COPY to the table itself, and by a refresh."""
    story.tail(put(items[0]))
    story.load(story.page(*items[1:]))
    story.shows(*items)
    story.refresh()
    story.load(story.page(*items))
    story.shows(*items)


# An int32 does not fit a bigint, nor an int64 an integer: ADBC writes the bytes as they are.
def test_integers_of_every_width_come_in_one_width(story, postgres):
    numbers = [0, 1, -1]
    numbers += [sign * 2**bits - one for bits, sign, one in product((7, 15, 31), (1, -1), (0, 1))]
    ways(story, *(item(str(n), n={"N": str(n)}) for n in numbers))
    assert types_of(postgres)["n"] == "bigint"
    assert postgres.by_hand("SELECT sum(n)::bigint FROM orders") == [(sum(numbers),)]


# ADBC writes a uint64 as a bigint, and what does not fit becomes negative.
def test_a_number_beyond_a_bigint_never_wraps(story, postgres):
    numbers = [2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**64, -(2**63) - 1]
    ways(story, *(item(str(n), n={"N": str(n)}) for n in numbers))
    assert types_of(postgres)["n"] == "numeric"
    found = postgres.by_hand("SELECT id, n::text FROM orders")
    assert {text for text, _ in found} == {text for _, text in found} == set(map(str, numbers))


# ADBC rounds to the precision of the column without a word.
def test_a_numeric_with_a_precision_would_round_and_is_refused(story, postgres):
    story.tail(put(item("a", n={"N": "1.25"})))
    postgres.by_hand("ALTER TABLE orders ALTER n TYPE numeric(9, 1)")
    with dbapi.connect(postgres.url, autocommit=True) as other, other.cursor() as cursor:
        cursor.execute("CREATE TABLE rounds (n numeric(9, 1))")
        cursor.adbc_ingest("rounds", pa.table({"n": pa.array([Decimal("1.25")])}), mode="append")
    assert postgres.by_hand("SELECT n::text FROM rounds") == [("1.3",)]
    with pytest.raises(DestinationRefused, match=r"numeric\(9,1\)"):
        story.tail(put(item("b", n={"N": "2.25"})))
    assert postgres.by_hand("SELECT id FROM orders") == [("a",)]


@pytest.mark.parametrize("text", ["10000", "0.0001", "99990000.00009999", "1E+37", "-1E-37"])
def test_a_numeric_has_no_precision_and_keeps_every_digit(story, postgres, text):
    others = ["0.5", "12345678901234567890.123456789"]
    ways(story, *(item(n, n={"N": n}) for n in (text, *others)))
    assert types_of(postgres)["n"] == "numeric"
    found = dict(postgres.by_hand("SELECT id, n::text FROM orders"))
    assert Decimal(found[text]) == Decimal(text)


# ADBC has no way to write a text into jsonb, and makes a json of Arrow's.
def test_json_is_jsonb_whichever_way_it_came(story, postgres):
    inner = {"M": {"n": {"N": "1.50"}, "l": {"L": [{"NULL": True}, {"BOOL": False}]}}}
    ways(story, item("a", m=inner), item("b", m={"L": []}), item("c", m={"SS": ["b", "a"]}))
    assert types_of(postgres)["m"] == "jsonb"
    assert postgres.by_hand("SELECT m ->> 'n' FROM orders WHERE id = 'a'") == [("1.5",)]


# It gives a numeric back as the text of an opaque type.
def test_a_numeric_is_read_back_as_a_number(story):
    ways(story, item("a", n={"N": "1.50"}), item("b", n={"N": "1E-120"}))
    (row,) = story.destination.query("SELECT n FROM orders WHERE id = 'a'").to_pylist()
    assert row == {"n": Decimal("1.5")}


# A timestamp in nanoseconds would lose some of them, and one in seconds is another width.
def test_times_are_microseconds(story, postgres):
    assert CHANGED_AT.type == pa.timestamp("us", "UTC")
    ways(story, item("a"), item("b"))
    assert types_of(postgres)["_changed_at"] == "timestamp with time zone"


# A temporary table of ADBC's is another session's, and unseen, where there are two connections.
def test_a_commit_is_one_transaction_of_one_session(story, postgres):
    tables = ("public.orders", "_connector.cursors", "_connector.tables", "_connector.runs")
    postgres.by_hand(
        "CREATE TABLE seen (name text, session int, transaction xid8)",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO public.seen VALUES (TG_TABLE_NAME, pg_backend_pid(), pg_current_xact_id()); "
        "RETURN NULL; END $$",
        *(
            f"CREATE TRIGGER note AFTER INSERT OR UPDATE ON {table} FOR EACH STATEMENT "
            "EXECUTE FUNCTION note()"
            for table in tables
        ),
    )
    story.tail(put(item("a")))
    columns = ", ".join(f"count(DISTINCT {name})" for name in ("name", "session", "transaction"))
    assert postgres.by_hand(f"SELECT {columns} FROM seen") == [(len(tables), 1, 1)]
