"""The rows of several targets in one Arrow table, and the part of each.

Each attribute has a column for each target that has it, `item.<place>\\x1f<attribute>`, so that no
target changes the types of another; the key has the same columns for all. `route` says where a row
goes. So rows of several targets pass through a spool and a commit as those of one do.
"""

from collections.abc import Collection, Mapping
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from connector.core.modes.history import Op
from connector.core.names import OP
from connector.core.rows import (
    DELETED,
    ITEM,
    MARKED,
    MISFITS,
    REST,
    ROUTE,
    ROUTE_BEFORE,
    field_of,
    packed_in,
    rest_field,
    schema_of,
)
from connector.core.schema import Type

_END = "\x1f"

Value = TypeVar("Value")


def _prefix(place: int) -> str:
    return f"{place}{_END}"


def placed(rows: pa.Table, place: int, keys: Collection[str]) -> pa.Table:
    """The rows of one target, as rows among those of others."""
    fields: list[pa.Field] = []
    for field in rows.schema:
        if field.name == REST:
            packed = packed_in(rows.schema) or {}
            fields.append(rest_field({_prefix(place) + name: t for name, t in packed.items()}))
            continue
        name = field.name.removeprefix(ITEM)
        if name in keys or name == field.name:
            fields.append(field)
        else:
            fields.append(field.with_name(ITEM + _prefix(place) + name))
    named = pa.Table.from_arrays(rows.columns, schema=pa.schema(fields))
    return named.append_column(ROUTE, pa.repeat(pa.scalar(place, ROUTE.type), len(rows)))


def of_place(place: int, named: Mapping[str, Value], keys: Collection[str]) -> dict[str, Value]:
    """What is named by attributes, as far as it belongs to one target or to the key."""
    prefix = _prefix(place)
    found = {name: value for name, value in named.items() if name in keys}
    mine = (name for name in named if name.startswith(prefix) and name not in keys)
    return found | {name.removeprefix(prefix): named[name] for name in mine}


def scanned_part(rows: pa.Table, place: int, keys: Collection[str]) -> pa.Table:
    """The rows of one target, of scanned rows."""
    if ROUTE.name not in rows.column_names:
        return rows.schema.empty_table()
    mine = rows.filter(pc.equal(rows.column(ROUTE.name), place))
    return _bare(mine, place, keys)


def keys_elsewhere(rows: pa.Table, place: int, keys: Collection[str]) -> pa.Table:
    """The keys of scanned rows that are of other targets."""
    if ROUTE.name not in rows.column_names:
        return pa.table({})
    others = rows.filter(pc.not_equal(rows.column(ROUTE.name), place))
    return others.select([ITEM + name for name in keys])


def changed_part(rows: pa.Table, place: int | None, keys: Collection[str]) -> pa.Table:
    """A row for each of some changes: of one target, or deleted, since it is in no other.

    Without a place all are deleted.
    """
    part = _bare(rows, place, keys)
    gone = rows.column(DELETED.name)
    if place is None or ROUTE.name not in rows.column_names:
        others = pa.chunked_array([pa.repeat(True, len(rows))])
    else:
        others = pc.fill_null(pc.not_equal(rows.column(ROUTE.name), place), True)
    for name in (REST, MISFITS.name):
        if name in part.column_names:
            part = _without(part, name, others)
    if MARKED.name in rows.column_names:
        # The row of such an item stays where it is.
        others = pc.and_(others, pc.invert(rows.column(MARKED.name)))
    deleted = pc.or_(gone, others)
    return part.set_column(part.column_names.index(DELETED.name), DELETED, deleted)


def logged_part(log: pa.Table, place: int) -> pa.Table:
    """What a log says of the items of one target: they come as inserts and leave as deletes."""
    if ROUTE.name not in log.column_names:
        return log.slice(0, 0)
    after, before = log.column(ROUTE.name), log.column(ROUTE_BEFORE.name)
    here, was = (pc.fill_null(pc.equal(each, place), False) for each in (after, before))
    log = log.append_column("here", here).append_column("was", was)
    log = log.filter(pc.or_(here, was))
    here, was = log.column("here"), log.column("was")
    came = pc.and_(here, pc.and_(pc.invert(was), pc.is_valid(log.column(ROUTE_BEFORE.name))))
    left = pc.and_(pc.invert(here), pc.is_valid(log.column(ROUTE.name)))
    op = pc.if_else(came, Op.INSERT.value, log.column(OP))
    op = pc.if_else(left, Op.DELETE.value, op)
    log = _replaced(log, OP, op)
    return _without(_without(log, "_before", came), "_after", left)


def _without(rows: pa.Table, name: str, gone: pa.ChunkedArray) -> pa.Table:
    """The rows, some of them without the JSON that they have in a column."""
    texts = rows.column(name).cast(pa.string())
    return _replaced(
        rows, name, pc.if_else(gone, pa.scalar(None, pa.string()), texts).cast(pa.json_())
    )


def _replaced(log: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    place = log.column_names.index(name)
    return log.set_column(place, log.schema.field(name), column)


def _bare(rows: pa.Table, place: int | None, keys: Collection[str]) -> pa.Table:
    """All rows, with the columns of one target under its own names."""
    names: list[str] = []
    fields: list[pa.Field] = []
    attributes = schema_of(rows.schema)
    mine: dict[str, str] = {name: name for name in attributes}
    mine = of_place(-1 if place is None else place, mine, keys)
    for own, full in mine.items():
        names.append(ITEM + full)
        fields.append(field_of(own, attributes[full]))
    for field in rows.schema:
        if field.name == REST:
            if place is not None:
                names.append(REST)
                fields.append(rest_field(_packed(rows.schema, place, keys)))
        elif not field.name.startswith(ITEM) and field.name != ROUTE.name:
            names.append(field.name)
            fields.append(field)
    return pa.Table.from_arrays([rows.column(name) for name in names], schema=pa.schema(fields))


def _packed(schema: pa.Schema, place: int, keys: Collection[str]) -> dict[str, Type] | None:
    packed = packed_in(schema)
    return None if packed is None else of_place(place, packed, keys)
