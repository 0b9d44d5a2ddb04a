"""Drawn contracts on drawn items: the casts in Arrow and those in plain Python agree."""

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.contracts.contract import Contract, Policy
from connector.core.keys import KeyAttribute, KeySchema
from connector.core.rows import REST, conform, rest_field, schema_of, with_misfits
from connector.core.spec import TableSpec
from connector.destinations.duckdb.file import DuckDBDestination
from connector.items import canonical
from connector.items.contracted.judging import Judge
from connector.items.encoder import Encoder
from tests.destinations.story import Story, put
from tests.properties.strategies import profile, quick_folder

from .drawn import Item, contracts, items

KEYS: KeySchema = (KeyAttribute("id", "S"),)


def raws(drawn: Sequence[Item]) -> list[bytes]:
    """The items as they are on the wire."""
    return [msgspec.json.encode(each) for each in drawn]


def encoder_of(contract: Contract, max_columns: int = 500) -> Encoder:
    """An encoder for items under a contract."""
    return Encoder(KEYS, max_columns, judge=Judge(contract, "orders", KEYS))


def of_rows(rows: pa.Table, contract: Contract) -> set[tuple[canonical.Key, bytes]]:
    """What a table would hold of rows that came from an encoder."""
    rows = with_misfits(rows)
    service = [rest_field()] if REST in rows.column_names else []
    held = conform(rows, schema_of(rows.schema), service)
    found = [pair for b in held.to_batches() for pair in canonical.of_rows(KEYS, b, contract)]
    assert len(set(found)) == len(found)
    return set(found)


def of_items(drawn: Sequence[Item], contract: Contract) -> set[tuple[canonical.Key, bytes]]:
    """What a table should hold of items."""
    return {canonical.of_item(KEYS, raw, contract=contract) for raw in raws(drawn)}


@profile(400, times=5)
@given(
    contract=contracts(), drawn=items(), max_columns=st.sampled_from((500, 4)), page=st.booleans()
)
def test_both_kinds_of_casts_agree(
    contract: Contract, drawn: list[Item], max_columns: int, page: bool
) -> None:
    encoder = encoder_of(contract, max_columns)
    for _ in range(2):
        # What was learnt from the same items before changes nothing.
        if page:
            count = len(drawn)
            body = {"Items": drawn, "Count": count, "ScannedCount": count}
            encoded, _ = encoder.encode_page(json.dumps(body).encode())
        else:
            encoded = encoder.encode(raws(drawn))
        assert not encoded.bad
        assert of_rows(encoded.rows, contract) == of_items(drawn, contract)


@profile(150, times=5)
@given(contract=contracts(Policy.QUARANTINE), drawn=items())
def test_exactly_the_items_that_do_not_fit_are_refused(
    contract: Contract, drawn: list[Item]
) -> None:
    encoded = encoder_of(contract).encode(raws(drawn))
    required = [name for name, entry in contract.judged.items() if entry.required]
    wrong = []
    for index, (item, raw) in enumerate(zip(drawn, raws(drawn), strict=True)):
        _, value = canonical.of_item(KEYS, raw, contract=contract)
        absent = any(item.get(name, {"NULL": True}) == {"NULL": True} for name in required)
        if b" beside " in value or absent:
            wrong.append(index)
    assert [bad.index for bad in encoded.bad] == wrong
    assert [bad.raw for bad in encoded.bad] == [raws(drawn)[index] for index in wrong]
    good = [item for index, item in enumerate(drawn) if index not in wrong]
    assert of_rows(encoded.rows, contract) == of_items(good, contract)


@pytest.mark.parametrize("streamed", [False, True])
@profile(6, times=40)
@given(contract=contracts(), drawn=items())
def test_a_table_holds_the_same_whichever_way_the_items_came(
    streamed: bool, contract: Contract, drawn: list[Item]
) -> None:
    with quick_folder() as folder:
        spec = TableSpec(contract=contract)
        story = Story(DuckDBDestination(Path(folder) / "warehouse.duckdb"), KEYS, spec=spec)
        story.encoder = encoder_of(contract)
        story.plan()
        if streamed:
            story.tail(*map(put, drawn))
        else:
            count = len(drawn)
            body = {"Items": drawn, "Count": count, "ScannedCount": count}
            encoded, _ = story.encoder.encode_page(json.dumps(body).encode())
            story.load(encoded.rows.append_column("changed_at", _now(len(encoded.rows))))
        found = {
            pair
            for batch in story.destination.rows("orders")
            for pair in canonical.of_rows(KEYS, batch, contract)
        }
        assert found == of_items(drawn, contract)


def _now(count: int) -> pa.Array:
    return pa.array([0] * count, pa.int64()).cast(pa.timestamp("us", "UTC"))
