"""Answers to users' own queries: the part that all databases share."""

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

NUMERIC = pa.opaque(pa.string(), "numeric", "connector")
"""Numbers as text, if no other type holds all of a column: NaN, infinity, or more digits."""


_DECIMAL = r"^-?[0-9]+(\.[0-9]+)?$"
_INT64_DIGITS, _DECIMAL128_DIGITS, _DECIMAL256_DIGITS = 18, 38, 76


def distinct(names: Iterable[str]) -> list[str]:
    """The names of an answer's columns; one that came before gets a number: a, a_1, a_2.

    A name that occurs once stays as it is, even if a generated one would equal it.
    """
    wanted = list(names)
    taken, seen, given = set(wanted), set(), []
    for name in wanted:
        made, number = name, 0
        while made in seen or (number and made in taken):
            number += 1
            made = f"{name}_{number}"
        seen.add(made)
        given.append(made)
    return given


def with_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts of numbers as numbers, with as many decimal places as the longest needs."""
    texts = column.cast(pa.string())
    if not pc.any(pc.is_valid(texts)).as_py():
        return texts.cast(pa.int64())
    if not pc.all(pc.match_substring_regex(texts, _DECIMAL)).as_py():
        return texts.cast(NUMERIC)
    point = pc.find_substring(texts, ".")
    length = pc.binary_length(texts)
    places = pc.max(pc.if_else(pc.less(point, 0), 0, pc.subtract(pc.subtract(length, point), 1)))
    whole = pc.max(pc.if_else(pc.less(point, 0), length, point))
    return texts.cast(_holding(whole.as_py(), places.as_py()))


def _holding(whole: int, places: int) -> pa.DataType:
    """The type for numbers with `whole` characters before the point and `places` after it."""
    if not places and whole <= _INT64_DIGITS:
        return pa.int64()
    digits = whole + places
    if digits <= _DECIMAL128_DIGITS:
        return pa.decimal128(_DECIMAL128_DIGITS, places)
    return pa.decimal256(digits, places) if digits <= _DECIMAL256_DIGITS else NUMERIC


def is_readable(column: pa.ChunkedArray) -> bool:
    """Whether Python can hold every value of a column: its times end in the year 9999."""
    try:
        column.to_pylist()
    except (ValueError, OverflowError):
        return False
    return True


def named(names: Sequence[str], columns: Sequence[pa.ChunkedArray | pa.Array]) -> pa.Table:
    """The columns under names that are distinct."""
    return pa.table(list(columns), names=distinct(names))
