"""Looks at a table: at its columns in the warehouse, or at some of its items at the source."""

from collections.abc import Iterable, Mapping
from contextlib import closing

import pyarrow as pa

from connector.core.contracts.found import FoundTable
from connector.core.contracts.seen import Seen, Sight, declarable
from connector.core.keys import KeySchema
from connector.core.rows import ITEM, combine, schema_of
from connector.core.rules.hash_key import HashKey
from connector.core.schema import NULL, Type
from connector.core.spec import Limits, TableSpec
from connector.core.state import Identity, ScanPlan, TableState
from connector.core.words import counted
from connector.items.ruled.ruling import BESIDE
from connector.pipeline.declared.guesses import looks_like
from connector.pipeline.scan import make_encoder
from connector.ports import Destination, Snapshot
from connector.stop import Stop

SEGMENTS = 4
"""In how many places the items of a sample are read."""
LOOKED_AT = 1_000
"""How many rows are looked at to guess what their values could be."""
_PARTS = ("the partition key", "the sort key")


def of_warehouse(destination: Destination, state: TableState) -> Sight:
    """The columns of a table in the warehouse; it counts the values of each."""
    types = {name: declarable(column.type) for name, column in state.columns.items()}
    declared = {name: type_ for name, type_ in types.items() if type_ is not None}
    found = destination.described(state.table, declared)
    keys = [key.name for key in state.identity.keys]
    looks = _looks(destination, state, found)
    attributes = [
        Seen(
            column.attribute,
            column.type,
            column.filled or 0,
            _PARTS[keys.index(column.attribute)] if column.attribute in keys else "",
            looks.get(column.attribute, ""),
            column.sql is not None and column.sql == column.declared_sql,
        )
        for column in found.columns
        if not column.attribute.startswith(BESIDE)
    ]
    notes = ["Attributes in _rest have no column, and are not here."] if found.rest else []
    return Sight(f"{found.target} in the warehouse", found.rows, "row", attributes, notes)


def _looks(destination: Destination, state: TableState, found: FoundTable) -> dict[str, str]:
    batches: list[pa.RecordBatch] = []
    with closing(destination.rows(state.table)) as rows:
        for batch in rows:
            batches.append(batch)
            if sum(map(len, batches)) >= LOOKED_AT:
                break
    return {
        column.attribute: looks_like(
            [batch.column(ITEM + column.attribute) for batch in batches], column.type
        )
        for column in found.columns
        if column.type.kind in ("string", "integer")
    }


def of_source(
    pages: Snapshot,
    identity: Identity,
    table: str,
    spec: TableSpec,
    key: HashKey | None,
    limits: Limits,
    items: int,
    stop: Stop,
) -> Sight:
    """At least `items` of the source, as the table's rules leave them, read in several places."""
    natural = TableSpec(rules=spec.rules, max_columns=spec.max_columns)
    plan = ScanPlan(table, identity, "", SEGMENTS, natural)
    encoder = make_encoder(plan, limits, key)
    tables: list[pa.Table] = []
    positions: dict[int, str | None] = dict.fromkeys(range(SEGMENTS))
    read = bad = 0
    while positions and read < items:
        for segment in list(positions):
            stop.check(table)
            (encoded, token), _ = pages.page(
                segment, SEGMENTS, positions[segment], encoder.encode_page
            )
            read, bad = read + len(encoded.rows), bad + len(encoded.bad)
            tables += [encoded.rows] if len(encoded.rows) else []
            positions[segment] = token
            if token is None:
                del positions[segment]
            if read >= items:
                break
    everything = not positions
    where = "all of its items" if everything else "some of its items"
    notes = [f"{counted(bad, 'item')} cannot be stored, and would be quarantined."] if bad else []
    return Sight(where, read, "item", _seen(tables, identity.keys), notes)


def _seen(tables: Iterable[pa.Table], keys: KeySchema) -> list[Seen]:
    every = list(tables)
    rows = combine(every) if every else pa.table({})
    types: Mapping[str, Type] = schema_of(rows.schema)
    names = [key.name for key in keys]
    order = [*names, *sorted(name for name in types if name not in names)]
    return [
        Seen(
            name,
            types.get(name, NULL),
            len(rows) - rows.column(ITEM + name).null_count if name in types else 0,
            _PARTS[names.index(name)] if name in names else "",
            looks_like(rows.column(ITEM + name).chunks, types[name]) if name in types else "",
        )
        for name in order
        if not name.startswith(BESIDE)
    ]
