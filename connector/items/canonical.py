"""The canonical form of items and rows: equal if and only if they hold the same values.

Attributes that are NULL or absent have no value in a column, so they are left out; everything else
is plain JSON with exact numbers, sorted sets and base64 for binary. The canonical form of a number
is all that this path shares with the columnar one.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import Raw

from connector.core.contracts.contract import NO_CONTRACT, Contract
from connector.core.keys import KeySchema
from connector.core.rows import ITEM, REST, beside, schema_of
from connector.core.schema import Kind
from connector.core.texts import Malformed, canonical, canonical_decimal, moment_text
from connector.items.contracted import plainly
from connector.items.keys import key_of, part_text
from connector.items.records import REPLICATION_PREFIX
from connector.items.ruled.ruling import Ruling

Key = tuple[str, ...]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Number(str):
    """The digits of a JSON number, as written."""


def of_item(
    keys: KeySchema,
    raw: bytes,
    ruling: Ruling | None = None,
    contract: Contract = NO_CONTRACT,
) -> tuple[Key, bytes]:
    """The canonical key and value of an item in wire form, by the table's rules and contract.

    Raises Malformed.
    """
    try:
        item = _decoded(raw, ruling)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("an item that is not an object, or text that is not Unicode") from error
    key = key_of(keys, item)
    if ruling is not None:
        key, item = ruling.key(key), ruling.applied(item)
    members, misfits = plainly.members_of(
        contract,
        {n: value for n, value in item.items() if not n.startswith(REPLICATION_PREFIX)},
        frozenset(each.name for each in keys),
    )
    members = {name: value for name, value in members.items() if value is not None}
    return key, _encode(members) + _apart(misfits)


def _decoded(raw: bytes, ruling: Ruling | None) -> dict[str, Any]:
    try:
        item: dict[str, Any] = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        if ruling is None:
            raise
        item = msgspec.json.decode(ruling.readable(raw))
    return item


def of_rows(
    keys: KeySchema, batch: pa.RecordBatch, contract: Contract = NO_CONTRACT
) -> Iterator[tuple[Key, bytes]]:
    """The canonical key and value of each row of a table with a contract."""
    kinds = {name: type_.kind for name, type_ in schema_of(batch.schema).items()}
    cells = {
        name: _cells(_TO_PLAIN[kind], batch.column(ITEM + name)) for name, kind in kinds.items()
    }
    declared = contract.types.keys() - {key.name for key in keys}
    late = beside(batch.schema)
    misplaceable = kinds.keys() - late - declared
    packed_of = (
        batch.column(REST).to_pylist() if REST in batch.schema.names else [None] * len(batch)
    )
    for index, packed in enumerate(packed_of):
        members = {name: c[index] for name, c in cells.items() if c[index] is not None}
        key = tuple(_part(key.tag, members.get(key.name)) for key in keys)
        rest = {} if packed is None else _reread(packed)
        # A reader of the attribute's column would miss a value elsewhere, so it must not be equal.
        misplaced = rest.keys() & misplaceable
        # A column that is too late for a wide row leaves its value there as well.
        misfits = {
            name: rest.pop(name)
            for name in declared & rest.keys()
            if name in members
            or name not in late
            or not plainly.is_held(contract.types[name], rest[name])
        }
        yield key, _encode(members | rest) + _apart(misfits) + (b" misplaced" if misplaced else b"")


def _apart(misfits: dict[str, Any]) -> bytes:
    """Values that do not fit the declared type of their column, which therefore is null."""
    return b" beside " + _encode(misfits) if misfits else b""


def _part(tag: str, plain: Any) -> str:
    return part_text(tag, bytes(plain).decode() if isinstance(plain, Raw) else plain)


def _cells(plain: Callable[[Any], Any], array: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(array.type):
        # A row may hold a time that Python cannot.
        array = array.cast(pa.int64())
    elif pa.types.is_date32(array.type):
        array = array.cast(pa.int32())
    return [None if value is None else plain(value) for value in array.to_pylist()]


def _encode(members: dict[str, Any]) -> bytes:
    return msgspec.json.encode(members, order="sorted")


def _reread(text: str) -> Any:
    """Parses the JSON text of a column; numbers get canonical digits."""
    return _numbers(json.loads(text, parse_float=_Number, parse_int=_Number))


def _numbers(value: Any) -> Any:
    if isinstance(value, _Number):
        return Raw(canonical(str(value)).encode())
    if isinstance(value, dict):
        return {name: _numbers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_numbers(inner) for inner in value]
    return value


def _moment(micros: int) -> str:
    try:
        return moment_text(_EPOCH + timedelta(microseconds=micros))
    except OverflowError:
        return f"{micros} µs since 1970"


def _day(days: int) -> str:
    try:
        return (_EPOCH + timedelta(days=days)).date().isoformat()
    except OverflowError:
        return f"{days} days since 1970"


_TO_PLAIN: dict[Kind, Callable[[Any], Any]] = {
    Kind.NULL: lambda value: None,
    Kind.INTEGER: lambda value: Raw(str(value).encode()),
    Kind.DECIMAL: lambda value: Raw(canonical_decimal(Decimal(value)).encode()),
    Kind.NUMBER: _reread,
    Kind.FIXED: lambda value: Raw(canonical_decimal(Decimal(value)).encode()),
    Kind.TIMESTAMP: _moment,
    Kind.DATE: _day,
    Kind.UUID: lambda value: value,
    Kind.STRING: lambda value: value,
    Kind.BOOLEAN: lambda value: value,
    Kind.BINARY: lambda value: b64encode(value).decode(),
    Kind.JSON: _reread,
}
