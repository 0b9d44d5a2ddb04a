"""Values of one attribute → one Arrow array, in the narrowest type that holds them exactly."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connector.core.rows import field_of, rest_field
from connector.core.schema import (
    BINARY,
    BOOLEAN,
    DECIMAL_DIGITS,
    INTEGER,
    JSON,
    NULL,
    NUMBER,
    STRING,
    Type,
    decimal_type,
    join,
    number_type,
)
from connector.core.texts import MAX_DIGITS, Malformed, canonical, json_text, json_texts
from connector.items import values
from connector.items.records import REPLICATION_PREFIX

Cell = tuple[str, Any]
"""A tag and its content."""

_CANONICAL = r"^-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?$"


def of_one_tag(tag: str, contents: Sequence[Any]) -> tuple[Type, pa.Array]:
    """An array of values that all have `tag`; None if an item lacks the attribute."""
    return _OF_TAG[tag](contents)


def of_cells(cells: Sequence[Cell | None]) -> tuple[Type, pa.Array]:
    """An array of values of any tags; more than one kind makes the column JSON."""
    tags = {cell[0] for cell in cells if cell is not None} - {"NULL"}
    if not tags:
        return NULL, pa.nulls(len(cells))
    if len(tags) == 1:
        (tag,) = tags
        return of_one_tag(tag, [cell[1] if cell and cell[0] == tag else None for cell in cells])
    return JSON, _json([None if cell is None else values.plain_content(*cell) for cell in cells])


def type_of(tag: str, content: Any) -> Type:
    """The narrowest type that holds one valid value, which is not NULL."""
    if tag != "N":
        return _TYPE_OF_TAG.get(tag, JSON)
    return number_type(canonical(content))


_TYPE_OF_TAG = {"S": STRING, "B": BINARY, "BOOL": BOOLEAN, "NULL": NULL}


OfCells = Callable[[str, Sequence[Cell | None]], tuple[Type, pa.Array]]
"""Makes the column of a row's attribute from values that are given with their tags."""


def of_rows(rows: Sequence[Mapping[str, Any]], own: Iterable[str], of_cells: OfCells) -> pa.Table:
    """A table of rows in wire form; attributes without a column of their `own` are in `rest`."""
    cells: dict[str, list[Cell | None]] = {name: [None] * len(rows) for name in own}
    rest: list[str | None] = []
    packed: dict[str, Type] = {}
    for index, row in enumerate(rows):
        leftover: dict[str, Any] = {}
        for name, value in row.items():
            ((tag, content),) = value.items()
            if name in cells:
                cells[name][index] = (tag, content)
            elif tag != "NULL" and not name.startswith(REPLICATION_PREFIX):
                # NULL is not a value, in `rest` as in a column.
                leftover[name] = values.plain_content(tag, content)
                packed[name] = join(packed.get(name, NULL), type_of(tag, content))
        rest.append(json_text(leftover) if leftover else None)
    made = {
        name: of_cells(name, column)
        for name, column in cells.items()
        if any(column) and not name.startswith(REPLICATION_PREFIX)
    }
    fields = [field_of(name, type_) for name, (type_, _) in made.items() if type_ is not NULL]
    arrays = [array for type_, array in made.values() if type_ is not NULL]
    if any(rest):
        fields.append(rest_field(packed))
        arrays.append(pa.array(rest, pa.string()).cast(pa.json_()))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def of_texts(texts: pa.Array, present: Sequence[bool]) -> tuple[Type, pa.Array]:
    """An array of values of any kinds as JSON texts, one for each true place of `present`."""
    return JSON, spread(_without_null(texts), present).cast(pa.json_())


def spread(texts: pa.Array, present: Sequence[bool]) -> pa.Array:
    """Texts at the true places of `present`, null at the others."""
    if all(present):
        return texts
    return pc.replace_with_mask(pa.nulls(len(present), pa.string()), pa.array(present), texts)


def _json(plain: Sequence[Any]) -> pa.Array:
    return _without_null(json_texts(plain)).cast(pa.json_())


def _without_null(texts: pa.Array) -> pa.Array:
    """A NULL at the source is null here, too."""
    return pc.if_else(pc.equal(texts, "null"), pa.scalar(None, pa.string()), texts)


def _strings(contents: Sequence[str | None]) -> tuple[Type, pa.Array]:
    return STRING, pa.array(contents, pa.string())


def _booleans(contents: Sequence[bool | None]) -> tuple[Type, pa.Array]:
    return BOOLEAN, pa.array(contents, pa.bool_())


def _binaries(contents: Sequence[str | None]) -> tuple[Type, pa.Array]:
    decoded = [None if content is None else values.binary(content) for content in contents]
    return BINARY, pa.array(decoded, pa.binary())


def _nulls(contents: Sequence[bool | None]) -> tuple[Type, pa.Array]:
    if False in contents:
        raise Malformed("a NULL that is not true")
    return NULL, pa.nulls(len(contents))


def _as_json(tag: str) -> Callable[[Sequence[Any]], tuple[Type, pa.Array]]:
    def column(contents: Sequence[Any]) -> tuple[Type, pa.Array]:
        plain = values.plain_content
        return JSON, _json([None if each is None else plain(tag, each) for each in contents])

    return column


def numbers(texts: Sequence[str | None]) -> tuple[Type, pa.Array]:
    """An array of numbers sent as text.

    int64 if all are integral and fit, else decimal128(38, s) if one scale fits all, else the
    canonical digits as JSON. Raises Malformed if one of them is not a DynamoDB number.
    """
    strings = pa.array(texts, pa.string())
    integers = _integers(strings)
    if integers:
        return integers
    strings = _canonical(strings)
    return _integers(strings) or _decimals(strings) or (NUMBER, strings.cast(pa.json_()))


def canonical_numbers(texts: Sequence[str | None]) -> pa.Array:
    """Numbers sent as text: int64 if all are integral and fit, else their canonical digits.

    Raises Malformed as `numbers` does.
    """
    strings = pa.array(texts, pa.string())
    integers = _integers(strings)
    return integers[1] if integers else _canonical(strings)


def canonical_texts(texts: Sequence[str]) -> pa.Array:
    """The canonical digits of numbers sent as text. Raises Malformed as `numbers` does."""
    return _canonical(pa.array(texts, pa.string()))


def _canonical(strings: pa.Array) -> pa.Array:
    odd = pc.invert(_spelled_canonically(strings))
    if not pc.any(odd).as_py():
        return strings
    mended = [canonical(text) for text in strings.filter(odd).to_pylist()]
    return pc.replace_with_mask(strings, pc.fill_null(odd, False), pa.array(mended))


def _spelled_canonically(strings: pa.Array) -> pa.Array:
    matches = pc.match_substring_regex(strings, _CANONICAL)
    short = pc.less_equal(pc.binary_length(strings), MAX_DIGITS)
    return pc.and_(pc.and_(matches, short), pc.not_equal(strings, "-0"))


def _integers(strings: pa.Array) -> tuple[Type, pa.Array] | None:
    # A failing cast costs more than all the rest, and a single point makes it fail.
    if pc.any(pc.match_substring(strings, ".")).as_py():
        return None
    try:
        integers = strings.cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    # Arrow also reads "007" and "0x1F"; only a value that prints back the same was canonical.
    return (INTEGER, integers) if integers.cast(pa.string()).equals(strings) else None


def _decimals(strings: pa.Array) -> tuple[Type, pa.Array] | None:
    point = pc.find_substring(strings, ".")
    length = pc.binary_length(strings)
    scale = pc.if_else(pc.less(point, 0), 0, pc.subtract(pc.subtract(length, point), 1))
    whole = pc.if_else(pc.less(point, 0), length, point)
    whole = pc.subtract(whole, pc.cast(pc.starts_with(strings, "-"), pa.int32()))
    needed = decimal_type(pc.max(whole).as_py(), pc.max(scale).as_py())
    if needed is None:
        return None
    return needed, strings.cast(pa.decimal128(DECIMAL_DIGITS, needed.scale))


_OF_TAG: dict[str, Callable[[Sequence[Any]], tuple[Type, pa.Array]]] = {
    "S": _strings,
    "N": numbers,
    "B": _binaries,
    "BOOL": _booleans,
    "NULL": _nulls,
    **{tag: _as_json(tag) for tag in ("M", "L", *values.SET_TAGS)},
}
