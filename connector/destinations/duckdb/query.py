"""The answer to a user's own query of a DuckDB file, every value exact."""

from collections.abc import Iterator

import duckdb
import pyarrow as pa

from connector.destinations.queries.answers import NUMERIC, is_readable, named, with_numbers
from connector.destinations.sql import quoted

Type = duckdb.sqltypes.DuckDBPyType

_TIMES = frozenset(
    (
        "date",
        "timestamp",
        "timestamp_s",
        "timestamp_ms",
        "timestamp_ns",
        "timestamp with time zone",
        "timestamptz_ns",
    )
)
_UNCHANGED = frozenset(
    (
        "boolean",
        "tinyint",
        "smallint",
        "integer",
        "bigint",
        "utinyint",
        "usmallint",
        "uinteger",
        "ubigint",
        "hugeint",
        "float",
        "double",
        "decimal",
        "varchar",
        "blob",
        "uuid",
        "null",
    )
)
"""Types whose values Arrow and Python hold unchanged."""
_BEYOND_ARROW = ("uhugeint", "bignum")
_DOCUMENTS = ("variant", "union")


def answered(answer: duckdb.DuckDBPyRelation) -> pa.Table:
    """The answer in Arrow; values that Arrow or Python cannot hold are text.

    A column of times is also sent as text, in case one of them is outside Python's range.
    """
    types = answer.types
    kept = [_sent(type_, times_too=False) for type_ in types]
    texts = [_sent(type_, times_too=True) for type_ in types]
    twice = [place for place in range(len(types)) if kept[place] != texts[place]]
    chosen = [_cast(place, wanted, types) for place, wanted in enumerate(kept)]
    chosen += [_cast(place, texts[place], types) for place in twice]
    plain = all(wanted == str(type_) for wanted, type_ in zip(texts, types, strict=True))
    sent = (answer if plain else answer.project(", ".join(chosen))).to_arrow_table()
    columns = [_read(sent.column(place), type_) for place, type_ in enumerate(types)]
    for number, place in enumerate(twice, start=len(types)):
        if not is_readable(columns[place]):
            columns[place] = _read(sent.column(number), types[place])
    return named(answer.columns, columns)


def _cast(place: int, wanted: str, types: list[Type]) -> str:
    here = f"#{place + 1}"
    return here if wanted == str(types[place]) else f"CAST({here} AS {wanted})"


def _sent(type_: Type, times_too: bool) -> str:
    """The type in which values are sent: text for those that Arrow cannot hold."""
    inside = [_sent(inner, times_too) for inner in _inside(type_)]
    match type_.id:
        case "list" | "array":
            return f"{inside[0]}[]"
        case "map":
            return f"MAP(VARCHAR, {inside[1]})"
        case "struct":
            names = (name for name, _ in type_.children)
            fields = zip(map(quoted, names), inside, strict=True)
            return f"STRUCT({', '.join(f'{name} {inner}' for name, inner in fields)})"
    if _is_json(type_):
        return "JSON"
    if type_.id in _UNCHANGED or (type_.id in _TIMES and not times_too):
        return str(type_)
    return "VARCHAR"


def _is_json(type_: Type) -> bool:
    return str(type_) == "JSON" or type_.id in _DOCUMENTS


def _read(column: pa.ChunkedArray, type_: Type) -> pa.ChunkedArray:
    if type_.id in _BEYOND_ARROW:
        return with_numbers(column)
    wanted = _read_as(type_, column.type)
    return column if wanted == column.type else column.cast(wanted)


def _read_as(type_: Type, found: pa.DataType) -> pa.DataType:
    """The type in Arrow; DuckDB sends JSON, and numbers that Arrow cannot hold, as plain text."""
    if _is_json(type_):
        return pa.json_()
    if type_.id in _BEYOND_ARROW:
        return NUMERIC
    inside = list(_inside(type_))
    match type_.id:
        case "list" | "array":
            return pa.list_(_read_as(inside[0], found.value_type))
        case "map":
            return pa.map_(found.key_type, _read_as(inside[1], found.item_type))
        case "struct":
            fields = zip(inside, found, strict=True)
            return pa.struct(
                [field.with_type(_read_as(each, field.type)) for each, field in fields]
            )
    return found


def _inside(type_: Type) -> Iterator[Type]:
    if type_.id in ("list", "array", "struct", "map"):
        for _, inner in type_.children:
            # An array's length is a child as well.
            if isinstance(inner, Type):
                yield inner
