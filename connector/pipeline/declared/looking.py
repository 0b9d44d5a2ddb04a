"""Looks at a table: at its columns in the warehouse, or at some of its items at the source."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from functools import reduce

import pyarrow as pa

from connector.core.contracts.found import FoundColumn, FoundTable
from connector.core.contracts.seen import Seen, Sight, declarable, left_out
from connector.core.keys import KeySchema
from connector.core.routes.parts import scanned_part
from connector.core.routes.routes import Routes
from connector.core.rows import ITEM, combine, schema_of
from connector.core.rules.hash_key import HashKey
from connector.core.rules.rules import Rules
from connector.core.schema import INTEGER, NULL, STRING, Type, join, join_all
from connector.core.spec import Limits, TableSpec
from connector.core.state import Identity, ScanPlan, TableState
from connector.core.words import counted, joined
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
    every = [state.columns, *state.parts.values()]
    types_of = join_all(
        {name: column.type for name, column in columns.items()} for columns in every
    )
    types = {name: declarable(type_) for name, type_ in types_of.items()}
    declared = {name: type_ for name, type_ in types.items() if type_ is not None}
    found = destination.described(state.table, declared)
    keys = [key.name for key in state.identity.keys]
    columns = _together(found, (state.spec or TableSpec()).rules)
    looks = _looks(destination, state, columns)
    attributes = [
        Seen(
            name,
            reduce(join, (column.type for column in same)),
            sum(column.filled or 0 for column in same),
            _PARTS[keys.index(name)] if name in keys else "",
            looks.get(name, ""),
            len(same) == len(found)
            and all(
                column.sql is not None and column.sql == column.declared_sql for column in same
            ),
        )
        for name, same in columns.items()
    ]
    rest = any(table.rest for table in found)
    notes = ["Attributes in _rest have no column, and are not here."] if rest else []
    notes += left_out(attributes, len(found))
    where = joined([table.target for table in found], last="and")
    total = sum(table.rows for table in found)
    return Sight(f"{where} in the warehouse", total, "row", attributes, notes)


def _together(found: Sequence[FoundTable], rules: Rules) -> dict[str, list[FoundColumn]]:
    """The columns of each attribute; one that a column made by a path displaced has no entry."""
    columns: dict[str, list[FoundColumn]] = {}
    for table in found:
        for column in table.columns:
            if not rules.displaced(column.attribute):
                columns.setdefault(column.attribute, []).append(column)
    return columns


def _looks(
    destination: Destination, state: TableState, columns: Mapping[str, Sequence[FoundColumn]]
) -> dict[str, str]:
    batches: list[pa.RecordBatch] = []
    with closing(destination.rows(state.table)) as rows:
        for batch in rows:
            batches.append(batch)
            if sum(map(len, batches)) >= LOOKED_AT:
                break
    return {
        name: looks_like(
            [batch.column(ITEM + name) for batch in batches if ITEM + name in batch.schema.names],
            same[0].type,
        )
        for name, same in columns.items()
        if {column.type for column in same} in ({STRING}, {INTEGER})
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
    natural = TableSpec(rules=spec.rules, max_columns=spec.max_columns, routes=spec.routes)
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
    attributes = _seen(tables, identity.keys, natural)
    notes += left_out(attributes, len(spec.routes.targets))
    return Sight(where, read, "item", attributes, notes)


def _seen(tables: Sequence[pa.Table], keys: KeySchema, spec: TableSpec) -> list[Seen]:
    names = [key.name for key in keys]
    targets = _divided(combine(tables), names, spec.routes)
    schemas = [schema_of(rows.schema) for rows in targets]
    types = join_all(schemas)
    order = [*names, *sorted(name for name in types if name not in names)]
    return [
        Seen(
            name,
            types.get(name, NULL),
            sum(len(values) - values.null_count for values in _values(targets, name)),
            _PARTS[names.index(name)] if name in names else "",
            _looks_in_all(_values(targets, name), {s[name] for s in schemas if name in s}),
            all(schema.get(name) == types.get(name) for schema in schemas),
        )
        for name in order
        if not spec.rules.displaced(name)
    ]


def _divided(rows: pa.Table, keys: Sequence[str], routes: Routes) -> list[pa.Table]:
    """The rows of each target; an attribute has a column in those that have a value of it."""
    if not routes:
        return [rows]
    return [_without_empty(scanned_part(rows, place, keys)) for place in range(len(routes.targets))]


def _without_empty(rows: pa.Table) -> pa.Table:
    return rows.select([n for n in rows.column_names if rows.column(n).null_count < len(rows)])


def _values(targets: Iterable[pa.Table], name: str) -> list[pa.ChunkedArray]:
    return [rows.column(ITEM + name) for rows in targets if ITEM + name in rows.column_names]


def _looks_in_all(values: Sequence[pa.ChunkedArray], types: Collection[Type]) -> str:
    if len(types) != 1:
        return ""
    return looks_like([chunk for each in values for chunk in each.chunks], *types)
