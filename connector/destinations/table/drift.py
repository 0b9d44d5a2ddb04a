"""The columns that a commit added or widened, and for each an item that caused it.

A commit that changes no column examines no values.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from connector.core.contracts.counting import MisfitCount
from connector.core.keys import KeySchema, key_text, stored_part
from connector.core.rows import ITEM, schema_of
from connector.core.schema import (
    BINARY,
    BOOLEAN,
    INT64_DIGITS,
    INTEGER,
    JSON,
    NUMBER,
    STRING,
    Kind,
    Type,
    decimal_type,
    join,
    number_type,
)
from connector.core.state import Column, Drift
from connector.core.texts import canonical_decimal

TypeOf = Callable[[Type], str]
"""The SQL type of a column, as the database spells it."""

KeyOf = Callable[[int], str]
"""The canonical key of a row, by its place."""

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_INITIALS = ((JSON, "{["), (STRING, '"'), (BOOLEAN, "tf"), (NUMBER, "-0123456789"))
"""How a value of each type begins as JSON."""


class _Look(Protocol):
    """Collects what is known about one column."""

    def see(self, values: pa.Array, type_: Type, key_of: KeyOf) -> None:
        """Examines the values of some rows; `type_` holds all of them."""
        ...

    def found(self, column: str) -> Iterator[Drift]:
        """The changes of the column, once every row was seen."""
        ...


class Watch:
    """Watches the rows of a commit that changed columns, and finds the items that caused it."""

    def __init__(self, keys: KeySchema = (), looks: Mapping[str, tuple[str, _Look]] | None = None):
        self._keys = keys
        self._looks = looks or {}
        self.misfits = MisfitCount()
        """Counts values of the same rows that do not fit."""

    @classmethod
    def of(
        cls,
        keys: KeySchema,
        before: Mapping[str, Column],
        grown: Mapping[str, Column],
        type_of: TypeOf,
        *,
        loaded: bool,
        loading: bool,
    ) -> "Watch":
        """Watches the columns that have changed, by attribute.

        Until the table is `loaded` for the first time every column is new, so only columns that are
        JSON because of mixed values are reported. `loading` means that this commit is a load.
        """
        words = _Words(type_of)
        looks: dict[str, tuple[str, _Look]] = {}
        for attribute, column in grown.items():
            had = before.get(attribute)
            if had == column or (had and words.alike(had.type, column.type)):
                continue
            if not loaded and not words.is_json(column.type):
                continue
            if had is None or (loading and not loaded):
                first = _Filled(words, had.type if had else None, column.type, loaded)
                looks[attribute] = column.name, first
            else:
                looks[attribute] = column.name, _Widened(words, had.type, column.type)
        return cls(keys, looks)

    def see(self, rows: pa.Table) -> None:
        """Examines rows in the format of `core.rows`."""
        self.misfits.see(rows)
        if not self._looks or not len(rows):
            return
        have = schema_of(rows.schema)

        def key_of(index: int) -> str:
            parts = [
                stored_part(have[key.name], rows.column(ITEM + key.name)[index].as_py())
                for key in self._keys
            ]
            return key_text(parts)

        for attribute, (_, look) in self._looks.items():
            if attribute in have:
                look.see(rows.column(ITEM + attribute).combine_chunks(), have[attribute], key_of)

    def found(self) -> list[Drift]:
        """The changes of the columns, in order."""
        return [drift for column, look in self._looks.values() for drift in look.found(column)]


@dataclass(frozen=True)
class _Words:
    """The names of types in the database, which are all that a query can notice of them."""

    type_of: TypeOf

    def spelled(self, type_: Type) -> str:
        """The database's name of a type; two of our types may share one of its types."""
        numbers = type_.kind is Kind.NUMBER and self.is_json(type_)
        return f"{self.type_of(type_)} of numbers" if numbers else self.type_of(type_)

    def is_json(self, type_: Type) -> bool:
        return self.type_of(type_) == self.type_of(JSON)

    def alike(self, one: Type, other: Type) -> bool:
        return self.spelled(one) == self.spelled(other)


@dataclass
class _Widened:
    """A column that held values of one type before."""

    words: _Words
    before: Type
    after: Type
    key: str | None = None

    def see(self, values: pa.Array, type_: Type, key_of: KeyOf) -> None:
        """Looks for the first value that the column could not have held as it was."""
        if self.key is not None or not self._beyond(type_):
            return
        for index, each in enumerate(_types_in(values, type_, self.before)):
            if each is not None and self._beyond(each):
                self.key = key_of(index)
                return

    def _beyond(self, type_: Type) -> bool:
        return not self.words.alike(self.before, join(self.before, type_))

    def found(self, column: str) -> Iterator[Drift]:
        """Reports that it is wider now."""
        spelled = self.words.spelled
        yield Drift(column, spelled(self.before), spelled(self.after), self.key)


@dataclass
class _Sort:
    """Values of one sort: their type together, how many there are, and the key of the first."""

    type: Type
    count: int
    key: str


@dataclass
class _Filled:
    """A column that has its first values from this commit, or from a whole table's first load.

    If they are of several sorts, the most frequent one counts as the intended one.
    """

    words: _Words
    before: Type | None
    after: Type
    loaded: bool
    sorts: dict[Kind, _Sort] = field(default_factory=dict)

    def see(self, values: pa.Array, type_: Type, key_of: KeyOf) -> None:
        """Counts the values by sort; if all of them must be of one, the first is enough."""
        if self.sorts and not self.words.is_json(self.after):
            return
        for each, count, index in _sorts_in(values, type_):
            self._add(each, count, index, key_of)

    def _add(self, type_: Type, count: int, index: int, key_of: KeyOf) -> None:
        kind = type_.kind
        if kind in (Kind.INTEGER, Kind.DECIMAL):
            there = self.sorts.get(Kind.DECIMAL)
            together = join(there.type, type_) if there else type_
            # Numbers that no decimal type can hold together are a sort of their own.
            kind = Kind.NUMBER if together.kind is Kind.NUMBER else Kind.DECIMAL
            type_ = together
        sort = self.sorts.get(kind)
        if sort is None:
            self.sorts[kind] = _Sort(type_, count, key_of(index))
        else:
            sort.type, sort.count = type_, sort.count + count

    def found(self, column: str) -> Iterator[Drift]:
        """Reports that it is new, and that its values are mixed."""
        spelled = self.words.spelled
        sorts = sorted(self.sorts.values(), key=lambda sort: -sort.count)
        mixed = bool(sorts) and self.words.is_json(self.after)
        usual = sorts[0].type if mixed else self.after
        if self.loaded:
            yield Drift(column, None, spelled(usual), sorts[0].key if sorts else None)
        if not self.words.alike(usual, self.after):
            if len(sorts) > 1:
                yield Drift(column, spelled(usual), spelled(self.after), sorts[-1].key)
            elif self.before is not None:
                yield Drift(column, spelled(self.before), spelled(self.after), sorts[0].key)
            else:
                yield Drift(column, spelled(usual), spelled(self.after), None)


def _types_in(values: pa.Array, type_: Type, before: Type) -> Iterator[Type | None]:
    """The type of each value, or None for null."""
    plain = values.cast(pa.string()) if type_.arrow == JSON.arrow else values
    for value in plain.to_pylist():
        yield None if value is None else _type_of(value, type_, before)


def _type_of(value: Any, type_: Type, before: Type) -> Type:
    """The type of one of several values that `type_` can hold together."""
    match type_.kind:
        case Kind.JSON:
            return _type_of_json(value, before)
        case Kind.NUMBER:
            return number_type(value)
        case Kind.DECIMAL:
            return number_type(canonical_decimal(value))
    return type_


def _type_of_json(text: str, before: Type) -> Type:
    type_ = next(each for each, initials in _INITIALS if text[0] in initials)
    if type_ is NUMBER:
        return number_type(text)
    # Binary is a text in JSON; a text that is not base64 never was binary.
    binary = type_ is STRING and before.kind is Kind.BINARY and _BASE64.fullmatch(text[1:-1])
    return BINARY if binary else type_


def _sorts_in(values: pa.Array, type_: Type) -> Sequence[tuple[Type, int, int]]:
    """Each type among the values, with its count and the index of its first value."""
    count = len(values) - values.null_count
    if not count:
        return []
    if type_.kind is Kind.NUMBER:
        return _numbers_in(values)
    if type_.kind is Kind.JSON:
        texts = values.cast(pa.string())
        held = pc.or_(pc.starts_with(texts, "{"), pc.starts_with(texts, "["))
        if not pc.all(held).as_py():
            return _mixed_in(texts)
    return [(type_, count, _first(pc.is_valid(values)))]


def _mixed_in(texts: pa.Array) -> list[tuple[Type, int, int]]:
    initial = pc.utf8_slice_codeunits(texts, 0, 1)
    found: list[tuple[Type, int, int]] = []
    for type_, initials in _INITIALS:
        mask = pc.is_in(initial, pa.array(list(initials)))
        if count := pc.sum(mask).as_py():
            numbers = type_ is NUMBER
            each = numbers_type(texts.filter(mask)) if numbers else type_
            found.append((each, count, _first(mask)))
    return found


def numbers_type(texts: pa.Array) -> Type:
    """The type that holds all of some numbers, from their canonical digits."""
    digits = pc.replace_substring(texts, "-", "")
    length, point = pc.binary_length(digits), pc.find_substring(digits, ".")
    wholes = pc.if_else(pc.less(point, 0), length, point)
    whole, scale = pc.max(wholes).as_py(), pc.max(pc.subtract(length, wholes)).as_py() - 1
    if scale > 0 or whole > INT64_DIGITS:
        return decimal_type(whole, max(scale, 0)) or NUMBER
    # Some of the longest ones may exceed a 64-bit integer, and others may not.
    longest = texts.filter(pc.equal(wholes, INT64_DIGITS)).to_pylist()
    return reduce(join, map(number_type, longest), INTEGER)


def _numbers_in(values: pa.Array) -> list[tuple[Type, int, int]]:
    """One entry for each number; `_Filled._add` sorts them."""
    texts = values.cast(pa.string()).to_pylist()
    each = ((index, text) for index, text in enumerate(texts) if text is not None)
    return [(number_type(text), 1, index) for index, text in each]


def _first(mask: pa.Array) -> int:
    return int(pc.index(mask, True).as_py())
