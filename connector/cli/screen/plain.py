"""Converts the values of an Arrow table into values that a table or JSON can show."""

import math
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa

Convert = Callable[[Any], Any]

ENCODER = msgspec.json.Encoder(decimal_format="number", enc_hook=str)
"""Encodes the remaining Python values; numbers keep their digits."""


def plain_values(column: pa.ChunkedArray) -> list[Any]:
    """A column's values, ready for JSON; exact numbers, and what is JSON already, are raw."""
    values: list[Any] = column.to_pylist()
    convert = _conversion(column.type)
    return values if convert is None else [_present(convert, value) for value in values]


def _present(convert: Convert, value: Any) -> Any:
    return None if value is None else convert(value)


def _conversion(type_: pa.DataType) -> Convert | None:
    if pa.types.is_map(type_):
        return _of_map(_conversion(type_.item_type))
    if pa.types.is_struct(type_):
        return _of_struct({field.name: _conversion(field.type) for field in type_})
    if pa.types.is_list(type_):
        return _of_list(_conversion(type_.value_type))
    if isinstance(type_, pa.OpaqueType):
        return _number if type_.type_name == "numeric" else None
    return next((convert for is_, convert in _LEAVES if is_(type_)), None)


def _of_map(inner: Convert | None) -> Convert:
    convert = inner or _as_it_is
    return lambda pairs: {str(key): _present(convert, value) for key, value in pairs}


def _of_struct(fields: dict[str, Convert | None]) -> Convert:
    return lambda row: {
        name: _present(fields[name] or _as_it_is, value) for name, value in row.items()
    }


def _of_list(inner: Convert | None) -> Convert:
    convert = inner or _as_it_is
    return lambda values: [_present(convert, value) for value in values]


def _as_it_is(value: Any) -> Any:
    return value


def _float(value: float) -> float | str:
    """JSON cannot express NaN and infinity, so they become text."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _single(value: float) -> float | str:
    """The shortest text of a 32-bit float; as a Python float it would gain digits nobody wrote."""
    for digits in range(6, 9):
        short = float(f"{value:.{digits}g}")
        if struct.pack("f", short) == struct.pack("f", value):
            return _float(short)
    return _float(value)


def _decimal(value: Decimal) -> msgspec.Raw:
    return msgspec.Raw(f"{value:f}".encode())


def _number(text: str) -> msgspec.Raw | str:
    return msgspec.Raw(text.encode()) if text.lstrip("-")[:1].isdigit() else text


def _embedded(text: str) -> msgspec.Raw | str:
    try:
        return msgspec.json.decode(text, type=msgspec.Raw)
    except msgspec.DecodeError:
        # A database may write NaN in its JSON, which no JSON parser accepts.
        return text


_LEAVES: list[tuple[Callable[[pa.DataType], bool], Convert]] = [
    (pa.types.is_float32, _single),
    (pa.types.is_floating, _float),
    (pa.types.is_decimal, _decimal),
    (lambda type_: type_ == pa.json_(), _embedded),
]
