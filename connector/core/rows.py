"""The Arrow schema of rows, and the conversion of rows to another schema.

A table has one column `item.<attribute>` for each attribute, with the type in the field's
metadata; then `changed_at`, perhaps `rest` (plain JSON of the attributes that get no column of
their own), perhaps `misfits` and, from a stream, `deleted` and perhaps `marked` and `settled`.
"""

from base64 import b64decode
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Raw

from connector.core.modes.history import OF_VERSIONS
from connector.core.schema import JSON, NULL, Kind, Type, join, join_all, parse_type
from connector.core.texts import json_text, moment_text, plain_decimal

ITEM = "item."
CHANGED_AT = pa.field("changed_at", pa.timestamp("us", "UTC"))
DELETED = pa.field("deleted", pa.bool_())
MARKED = pa.field("marked", pa.bool_())
"""Whether the item was deleted at the source, but its row stays and is marked."""
SETTLED = pa.field("settled", pa.bool_())
"""Whether the item was read at the source; only rows that are merged by time say that."""
ROUTE = pa.field("route", pa.int16())
"""Where a row goes, if there are several targets; see `core.routes.parts`."""
ROUTE_BEFORE = pa.field("route_before", pa.int16())
"""Where the item of a change was before it, in a log."""
TARGET = b"connector.target"
"""In the metadata of rows that were read from one of several targets: the name of that."""
REST = "rest"
MISFITS = pa.field("misfits", pa.json_())
"""Values that do not fit the declared type of their column: an object, by attribute."""
_SERVICE = (CHANGED_AT, DELETED, MARKED, SETTLED, ROUTE, ROUTE_BEFORE, *OF_VERSIONS, MISFITS)
_PACKED = "packed"
_BESIDE = "beside"


def field_of(attribute: str, type_: Type) -> pa.Field:
    """The Arrow field of one attribute."""
    return pa.field(ITEM + attribute, type_.arrow, metadata={"type": type_.text()})


def rest_field(packed: Mapping[str, Type] | None = None, beside: Collection[str] = ()) -> pa.Field:
    """The Arrow field of the attributes without a column.

    Its metadata may hold the types of the attributes `packed` in it, which cannot be derived from
    JSON, and the attributes that may be in it `beside` a column of their own.
    """
    metadata: dict[str, bytes] = {}
    if packed is not None:
        types = {name: type_.text() for name, type_ in packed.items()}
        metadata[_PACKED] = msgspec.json.encode(types)
    if beside:
        metadata[_BESIDE] = msgspec.json.encode(list(beside))
    return pa.field(REST, JSON.arrow, metadata=metadata or None)


def packed_in(schema: pa.Schema) -> dict[str, Type] | None:
    """The types of the attributes in `rest`; None if the metadata does not hold them."""
    if REST not in schema.names:
        return {}
    metadata = _rest_metadata(schema, _PACKED)
    if metadata is None:
        return None
    types = msgspec.json.decode(metadata, type=dict[str, str])
    return {name: parse_type(text) for name, text in types.items()}


def without_packed(schema: pa.Schema) -> pa.Schema:
    """The schema without the metadata of `rest`, which may grow as large as the data."""
    if REST not in schema.names:
        return schema
    return schema.set(schema.get_field_index(REST), rest_field())


def beside(schema: pa.Schema) -> frozenset[str]:
    """The attributes that may be in `rest` although they have a column."""
    metadata = _rest_metadata(schema, _BESIDE) if REST in schema.names else None
    return frozenset(msgspec.json.decode(metadata, type=list[str])) if metadata else frozenset()


def _rest_metadata(schema: pa.Schema, name: str) -> bytes | None:
    value: bytes | None = (schema.field(REST).metadata or {}).get(name.encode())
    return value


def schema_of(schema: pa.Schema) -> dict[str, Type]:
    """Attribute → type, read from the fields' metadata."""
    return {
        field.name.removeprefix(ITEM): parse_type(field.metadata[b"type"].decode())
        for field in schema
        if field.name.startswith(ITEM)
    }


def with_service(
    rows: pa.Table, changed_at: pa.Array, deleted: Sequence[bool] | None = None
) -> pa.Table:
    """Adds the time of each row's change and, for a stream's rows, whether it was deleted."""
    rows = rows.append_column(CHANGED_AT, changed_at)
    if deleted is None:
        return rows
    return rows.append_column(DELETED, pa.array(deleted, pa.bool_()))


def moments(seconds: Sequence[float]) -> pa.Array:
    """Times in seconds since 1970 as an array; one that is not finite is 1970."""
    array = pa.array(seconds, pa.float64())
    known = pc.if_else(pc.is_finite(array), array, 0.0)
    micros = pc.round(pc.multiply(known, 1_000_000.0))
    return micros.cast(pa.int64()).cast(CHANGED_AT.type)


def conform(rows: pa.Table, schema: Mapping[str, Type], service: Sequence[pa.Field]) -> pa.Table:
    """The rows with exactly the attributes of `schema`, in its types, then the service columns.

    An attribute that is not in `schema` moves to `rest`, which `service` must then include; a
    missing attribute becomes null.
    """
    have = schema_of(rows.schema)
    overflow = [n for n, type_ in have.items() if n not in schema and type_.kind is not Kind.NULL]
    needs_rest = overflow or REST in rows.column_names
    if needs_rest and REST not in [field.name for field in service]:
        raise ValueError("rows with attributes that have no column need a rest column")
    if overflow:
        rows = pack(rows, overflow)
    arrays = [
        convert(rows.column(ITEM + name), have[name], type_)
        if name in have
        else pa.nulls(len(rows), type_.arrow)
        for name, type_ in schema.items()
    ]
    for field in service:
        present = field.name in rows.column_names
        arrays.append(rows.column(field.name) if present else _missing(field, len(rows)))
    fields = [field_of(name, type_) for name, type_ in schema.items()]
    return pa.Table.from_arrays(arrays, schema=pa.schema([*fields, *service]))


def combine(tables: Sequence[pa.Table]) -> pa.Table:
    """Several tables as one, in the join of their schemas and with all of their service columns.

    Without any it is one of no columns.
    """
    if not tables:
        return pa.table({})
    schema = join_all(schema_of(table.schema) for table in tables)
    rest = rest_field(_packed_in_all(tables))
    service = [
        field
        for field in (*_SERVICE, rest)
        if any(field.name in table.column_names for table in tables)
    ]
    return pa.concat_tables([conform(table, schema, service) for table in tables])


def _packed_in_all(tables: Sequence[pa.Table]) -> dict[str, Type] | None:
    each = [packed_in(table.schema) for table in tables]
    known = [packed for packed in each if packed is not None]
    return join_all(known) if len(known) == len(each) else None


def _missing(field: pa.Field, length: int) -> pa.Array:
    if field.equals(DELETED) or field.equals(MARKED) or field.equals(SETTLED):
        return pa.array([False] * length, pa.bool_())
    return pa.nulls(length, field.type)


def pack(rows: pa.Table, attributes: Sequence[str]) -> pa.Table:
    """Moves attributes from columns of their own into `rest`."""
    have = schema_of(rows.schema)
    texts = {
        name: _texts(convert(rows.column(ITEM + name), have[name], JSON)) for name in attributes
    }
    packed_before = REST in rows.column_names
    before = _texts(rows.column(REST)) if packed_before else [None] * len(rows)
    rest: list[str | None] = []
    for index, text in enumerate(before):
        members: dict[str, Any] = dict(_members(text))
        for name, column in texts.items():
            cell = column[index]
            if cell is not None:
                members[name] = Raw(cell.encode())
        rest.append(json_text(members) if members else None)
    dropped = [name for name in (*map(ITEM.__add__, attributes), REST) if name in rows.column_names]
    packed = pa.array(rest, pa.string()).cast(pa.json_())
    return rows.drop_columns(dropped).append_column(rest_field(), packed)


def has_misfits(rows: pa.Table) -> bool:
    """Whether a value of the rows does not fit the declared type of its column."""
    name = MISFITS.name
    return name in rows.column_names and rows.column(name).null_count < len(rows)


def with_misfits(rows: pa.Table) -> pa.Table:
    """The rows with values that do not fit in their `rest`."""
    if not has_misfits(rows):
        return rows
    there = REST in rows.column_names
    before = _texts(rows.column(REST)) if there else [None] * len(rows)
    rest = list(before)
    for index, text in enumerate(_texts(rows.column(MISFITS.name))):
        if text is not None:
            rest[index] = json_text({**_members(before[index]), **_members(text)})
    packed = pa.array(rest, pa.string()).cast(pa.json_())
    dropped = [MISFITS.name, *([REST] if there else [])]
    return rows.drop_columns(dropped).append_column(rest_field(), packed)


def _members(text: str | None) -> dict[str, Raw]:
    return msgspec.json.decode(text, type=dict[str, Raw]) if text else {}


def unpack(rows: pa.Table, attributes: Mapping[str, Type]) -> pa.Table:
    """Moves attributes of these types from `rest` to columns of their own."""
    have = schema_of(rows.schema)
    # An attribute that was in both places, in different rows, ends up in its column.
    both = [name for name in attributes if name in have]
    wanted = {name: join(type_, have.get(name, NULL)) for name, type_ in attributes.items()}
    packed_types = packed_in(rows.schema)
    rows = pack(rows, both) if both else rows
    cells: dict[str, list[Raw | None]] = {name: [] for name in wanted}
    rest: list[str | None] = []
    for text in _texts(rows.column(REST)):
        members = _members(text)
        for name, column in cells.items():
            column.append(members.pop(name, None))
        rest.append(json_text(members) if members else None)
    left = None
    if packed_types is not None:
        left = {name: type_ for name, type_ in packed_types.items() if name not in wanted}
    position = rows.column_names.index(REST)
    packed = pa.array(rest, pa.string()).cast(pa.json_())
    rows = rows.set_column(position, rest_field(left), packed)
    for name, type_ in wanted.items():
        found = [None if raw is None else _FROM_JSON[type_.kind](raw) for raw in cells[name]]
        array = pa.array(found, _storage(type_)).cast(type_.arrow)
        rows = rows.append_column(field_of(name, type_), array)
    return rows


def _storage(type_: Type) -> pa.DataType:
    return pa.string() if type_.arrow == pa.json_() else type_.arrow


def _text(raw: Raw) -> str:
    return bytes(raw).decode()


_FROM_JSON: dict[Kind, Callable[[Raw], Any]] = {
    Kind.STRING: msgspec.json.decode,
    Kind.BOOLEAN: msgspec.json.decode,
    Kind.BINARY: lambda raw: b64decode(msgspec.json.decode(raw, type=str)),
    Kind.INTEGER: lambda raw: int(_text(raw)),
    Kind.DECIMAL: lambda raw: Decimal(_text(raw)),
    Kind.NUMBER: _text,
    Kind.JSON: _text,
}


def _texts(array: pa.ChunkedArray) -> list[str | None]:
    return [None if value is None else value for value in array.cast(pa.string()).to_pylist()]


def convert(array: pa.ChunkedArray, have: Type, want: Type) -> pa.ChunkedArray:
    """The same values in a type above theirs in the lattice."""
    if have.arrow == want.arrow:
        return array
    if have.kind is Kind.NULL:
        return pa.chunked_array([pa.nulls(len(array), want.arrow)])
    if want.kind is Kind.DECIMAL:
        return array.cast(want.arrow)
    to_text = _TO_JSON[have.kind]
    chunks = [
        pa.array(to_text(chunk), pa.string()).cast(pa.json_()) for chunk in array.iterchunks()
    ]
    return pa.chunked_array(chunks, type=pa.json_())


def _encoded(plain: Callable[[Any], Any]) -> Callable[[pa.Array], list[str | None]]:
    def texts(array: pa.Array) -> list[str | None]:
        return [None if value is None else json_text(plain(value)) for value in array.to_pylist()]

    return texts


_TO_JSON: dict[Kind, Callable[[pa.Array], Any]] = {
    Kind.STRING: _encoded(lambda value: value),
    Kind.BOOLEAN: _encoded(lambda value: value),
    Kind.BINARY: _encoded(lambda value: value),
    Kind.INTEGER: _encoded(lambda value: value),
    Kind.DECIMAL: _encoded(plain_decimal),
    Kind.NUMBER: lambda array: array.storage,
    Kind.FIXED: _encoded(plain_decimal),
    Kind.TIMESTAMP: _encoded(moment_text),
    Kind.DATE: _encoded(lambda value: value.isoformat()),
    Kind.UUID: _encoded(lambda value: value),
}
