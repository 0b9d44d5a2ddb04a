"""Types, numbers and names in Postgres."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from connector.core.names import SERVICE
from connector.destinations.postgres.server import PostgresDestination
from connector.errors import (
    DestinationRefused,
)
from tests.rigs.postgres import Database

from .postgres_story import told, types_of
from .story import Story, put


@pytest.fixture
def postgres(kept_postgres: Database) -> Database:
    """How the state is made is not what these tests are about."""
    return kept_postgres


@pytest.fixture
def story(postgres: Database) -> Story:
    return told(postgres)


def test_every_type_has_its_column(story, postgres):
    item = {
        "id": {"S": "1"},
        "s": {"S": "text"},
        "i": {"N": "-9223372036854775808"},
        "u": {"N": "18446744073709551615"},
        "d": {"N": "1.50"},
        "h": {"N": "9.99E+125"},
        "t": {"BOOL": True},
        "b": {"B": "AAEC/w=="},
        "m": {"M": {"x": {"N": "1.50"}, "y": {"NS": ["10", "9"]}}},
    }
    story.tail(put(item))
    story.shows(item)
    assert types_of(postgres) == {
        "id": "text",
        "_changed_at": "timestamp with time zone",
        "_commit": "bigint",
        "s": "text",
        "i": "bigint",
        "u": "numeric",
        "d": "numeric",
        "h": "numeric",
        "t": "boolean",
        "b": "bytea",
        "m": "jsonb",
    }
    (row,) = postgres.by_hand("SELECT i, u::text, d::text, h = 9.99e125, m ->> 'x' FROM orders")
    assert row == (-(2**63), "18446744073709551615", "1.5", True, "1.5")
    story.load(story.page(item | {"id": {"S": "2"}}))
    assert postgres.by_hand("SELECT count(DISTINCT (s, i, u, d, h, t, b, m)) FROM orders") == [(1,)]


NUMBERS = st.builds(
    lambda digits, exponent, sign: f"{sign}{digits}E{exponent}",
    st.integers(1, 10**38 - 1),
    st.integers(-100, 80),
    st.sampled_from(["", "-"]),
)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(NUMBERS, min_size=1, max_size=60))
@example(["1E-130", "9.9999999999999999999999999999999999999E+125", "-1E-130", "0.10", "100"])
@example(["12345678901234567890123456789012345678", "-1", "10000", "0.0001", "99990000"])
def test_numbers_are_exact(story, postgres, numbers):
    items = [{"id": {"S": str(i)}, "n": {"N": text}} for i, text in enumerate(numbers)]
    story.tail(*map(put, items))
    rows = postgres.by_hand("SELECT id, n::text FROM orders")
    found = {int(key): Decimal(text) for key, text in rows}
    assert [found[i] for i in range(len(items))] == [Decimal(text) for text in numbers]


def test_text_keys_sort_by_their_bytes(story, postgres):
    rows = postgres.by_hand(
        "SELECT collname::text FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation "
        "WHERE attrelid = 'orders'::regclass AND attname = 'id'"
    )
    assert rows == [("C",)]


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)


SYSTEM = {"ctid", "oid", "tableoid", "xmin", "xmax", "cmin", "cmax"}


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(NAMES, min_size=1, max_size=20, unique=True))
@example(["é" * 32, "x" * 63, "x" * 64, "x" * 65, "X", "x", "ä", "a\u0308", "\u212b", "Å"])
@example(['"; DROP TABLE orders; --', "100% %s $1 :x {y} \\ '", "a\0b", "a\0c", "a", "\0", "$$"])
@example([*SYSTEM, *SERVICE, "excluded", "changed", "rest", "s", "t", "d", "n", "select", "id_"])
def test_any_text_makes_that_column_and_no_other(postgres, names):
    postgres.clean()
    story = told(postgres)
    before = set(types_of(postgres))
    names = [name for name in names if name != "id"]
    plain = {f"name{n}": {"S": f"{n}"} for n in range(len(names))}
    rows = story.records(put({"id": {"S": "1"}, **plain}))
    fields = {f"item.name{n}": f"item.{name}" for n, name in enumerate(names)}
    story.tail(rows=rows.rename_columns([fields.get(name, name) for name in rows.column_names]))
    columns = {name: column.name for name, column in story.state().columns.items()}
    assert set(types_of(postgres)) - before == set(columns.values()) - {"id"}
    assert len(set(columns.values())) == len(columns) == len(names) + 1
    for name in set(names) - SYSTEM - set(SERVICE):
        if "\0" not in name and len(name.encode()) <= 63:
            assert columns[name] == name
    assert story.items()['["1"]'] == {"id": "1"} | {name: f"{n}" for n, name in enumerate(names)}


@pytest.mark.parametrize("name", ["nul\0name", "x" * 64, "é" * 32])
def test_a_table_name_that_postgres_would_cut_is_refused(postgres, name):
    story = Story(PostgresDestination(postgres.parsed), target=name)
    with pytest.raises(DestinationRefused):
        story.plan()
    assert story.destination.tables() == []
