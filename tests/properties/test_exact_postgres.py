"""Any item → Postgres → item is exact, as far as Postgres can hold it; the rest is quarantined."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.core.keys import KeySchema
from connector.destinations.postgres.server import PostgresDestination
from connector.destinations.postgres.session.limits import LIMITS
from connector.items.encoder import Encoder
from tests.destinations.story import Story, delete, put
from tests.rigs.postgres import Database

from .oracle import canonical_postgres_rows
from .strategies import Item, profile
from .test_exact import EVERY_TYPE, ID, LAYOUTS, Told, by_key, spec_of, tables


class ToldInPostgres(Told):
    """A story in an emptied Postgres database."""

    def __init__(self, database: Database, keys: KeySchema, layout: str) -> None:
        database.clean(with_state=True)
        columns, packed = LAYOUTS[layout]
        self.url = database.url
        self.keys = keys
        destination = PostgresDestination(database.parsed)
        self.story = Story(destination, keys, text=lambda text: text, spec=spec_of(layout))
        self.story.encoder = Encoder(keys, columns, packed, LIMITS)
        self.story.plan()

    def rows(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        """What the table holds, read through SQL."""
        return canonical_postgres_rows(self.url, "orders", [part.name for part in self.keys])


def without_nul(value: Any) -> Any:
    """The same in a form that Postgres can hold."""
    if isinstance(value, str):
        return value.replace("\0", "\u2400")
    if isinstance(value, Mapping):
        return {without_nul(name): without_nul(inner) for name, inner in value.items()}
    return [without_nul(inner) for inner in value] if isinstance(value, list) else value


def storable(table: tuple[KeySchema, Sequence[Item]]) -> tuple[KeySchema, list[Item]]:
    """A table without a NUL."""
    keys, items = table
    assert not any("\0" in key.name for key in keys)
    return keys, [without_nul(item) for item in items]


TABLES = tables().filter(lambda table: not any("\0" in key.name for key in table[0])).map(storable)


@pytest.mark.parametrize("layout", LAYOUTS)
@profile(4)
@given(table=TABLES, cut=st.integers(0, 7))
@example(table=storable((ID, EVERY_TYPE)), cut=3)
def test_any_item_is_exact_whichever_way_it_came(
    postgres_database: Database, layout: str, table: tuple[KeySchema, list[Item]], cut: int
) -> None:
    keys, found = table
    told = ToldInPostgres(postgres_database, keys, layout)
    expected = by_key(told, found)
    rows = list(expected.values())
    told.story.tail(*(put(item) for item in rows[:cut]))
    told.story.load(told.page(rows))
    told.story.refresh()
    told.story.tail(*(put(item) for item in rows[cut:]))
    told.story.load(*(told.page([item]) for item in rows))
    told.assert_holds(expected)


@profile(6)
@given(table=tables(), gone=st.integers(0, 6))
def test_what_postgres_cannot_hold_is_in_the_quarantine_and_nowhere_else(
    postgres_database: Database, table: tuple[KeySchema, list[Item]], gone: int
) -> None:
    keys, found = table
    told = ToldInPostgres(postgres_database, keys, "columns")
    items = by_key(told, found)
    held = {key: item for key, item in items.items() if without_nul(item) == item}
    older = [{part.name: item[part.name] for part in keys} for item in items.values()]
    told.story.tail(*(put(item) for item in older if without_nul(item) == item))
    fold = told.story.fold(*map(put, items.values()))
    told.story.tail(rows=fold.rows(), quarantined=fold.quarantined)
    told.assert_holds(held)
    raw = [json.loads(bad.raw)["dynamodb"]["NewImage"] for bad in fold.quarantined]
    lost = [item for key, item in items.items() if key not in held]
    assert sorted(map(json.dumps, raw)) == sorted(map(json.dumps, lost))
    for item in list(held.values())[gone : gone + 1]:
        told.story.tail(delete(item))
        held.pop(told.key(item))
        told.assert_holds(held)
