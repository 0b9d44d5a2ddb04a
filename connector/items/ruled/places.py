"""Attributes with rules, as the encoder decodes them and makes columns of them."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from msgspec import Raw

from connector.core.schema import STRING, Type
from connector.core.texts import Malformed
from connector.items import columns
from connector.items.columns import OfCells
from connector.items.ruled.ruling import Source, is_null
from connector.items.ruled.values import text_of
from connector.items.shapes import CONTENTS, PlaceLimit, Shape

Made = tuple[str, tuple[Type, pa.Array]]
"""A row's attribute, and its values."""


class Dropped:
    """An attribute that rows have nothing of: it is skipped, and may hold anything."""

    type: Any = Raw

    def learn(self, value: Any) -> bool:
        """There is nothing to learn."""
        return False

    def columns(self, found: Sequence[Any], absent: Any) -> list[Made]:
        """There are none."""
        return []


class Masked:
    """An attribute that rows have a mask for, whatever it holds: it is not decoded."""

    type: Any = Raw

    def __init__(self, source: Source) -> None:
        self._source = source

    def learn(self, value: Any) -> bool:
        """There is nothing to learn."""
        return False

    def columns(self, found: Sequence[Any], absent: Any) -> list[Made]:
        """The mask wherever there is a value."""
        mask = self._source.mask
        masks = [None if each is absent or is_null(bytes(each)) else mask for each in found]
        if masks.count(None) == len(masks):
            return []
        return [(self._source.name, (STRING, pa.array(masks, pa.string())))]


class Hashed:
    """An attribute that rows have only the digest of; scalars are decoded like any others."""

    def __init__(
        self, source: Source, limit: PlaceLimit, of_cells: OfCells, tags: Sequence[str] = ()
    ) -> None:
        self._source = source
        self._of_cells = of_cells
        self._shape = Shape(limit, tags=tags)
        self._nested = False

    @property
    def type(self) -> Any:
        """A struct for the types that were seen; anything if one of them is nested."""
        return dict[str, Any] if self._nested else self._shape.type

    def learn(self, value: dict[str, Any]) -> bool:
        """Learns which types there are."""
        (tag,) = value
        if self._nested:
            return False
        if tag not in _SCALAR:
            self._nested = True
            return True
        return self._shape.learn(value)

    def columns(self, found: Sequence[Any], absent: Any) -> list[Made]:
        """The digests. Raises Malformed."""
        if self._nested:
            return _columns(self._source, found, absent, self._of_cells)
        digests: list[str | None] = [None] * len(found)
        for tag in self._shape.tags:
            contents = CONTENTS[tag](found)
            if tag == "NULL":
                columns.of_one_tag(tag, contents)
            elif tag == "S" and len(self._shape.tags) == 1:
                digests = self._source.digests(contents)
            else:
                self._add(digests, tag, contents)
        if digests.count(None) == len(digests):
            return []
        return [(self._source.name, (STRING, pa.array(digests, pa.string())))]

    def _add(self, digests: list[str | None], tag: str, contents: Sequence[Any]) -> None:
        for index, content in enumerate(contents):
            if content is not None:
                if digests[index] is not None:
                    raise Malformed("an attribute value that does not have exactly one type")
                digests[index] = self._source.digest(text_of(tag, content))


class Changed:
    """An attribute that rules change in any other way: its values are decoded as they are."""

    type: Any = dict[str, Any]

    def __init__(self, source: Source, of_cells: OfCells, key_tag: str | None = None) -> None:
        self._source = source
        self._of_cells = of_cells
        self._key_tag = key_tag

    def learn(self, value: Any) -> bool:
        """There is nothing to learn."""
        return False

    def columns(self, found: Sequence[Any], absent: Any) -> list[Made]:
        """The columns that are made of the attribute. Raises Malformed."""
        if self._key_tag is not None and not all(self._key_tag in each for each in found):
            raise Malformed("an item without its key, or with a key of another type")
        return _columns(self._source, found, absent, self._of_cells)


def _columns(source: Source, found: Sequence[Any], absent: Any, of_cells: OfCells) -> list[Made]:
    cells: dict[str, list[columns.Cell | None]] = {
        name: [None] * len(found) for name in source.names
    }
    for index, value in enumerate(found):
        if value is not absent:
            for name, made in source.outputs(value):
                (cells[name][index],) = made.items()
    return [(name, of_cells(name, column)) for name, column in cells.items() if any(column)]


_SCALAR = frozenset(("S", "N", "B", "BOOL", "NULL"))


Ruled = Dropped | Masked | Hashed | Changed


def place_of(source: Source, limit: PlaceLimit, key_tag: str | None, of_cells: OfCells) -> Ruled:
    """How the encoder treats an attribute with rules; `key_tag` is its type if it is a key."""
    if not source.names:
        return Dropped()
    if source.mask is not None:
        return Masked(source)
    if source.only_hashed:
        return Hashed(source, limit, of_cells, (key_tag,) if key_tag else ())
    return Changed(source, of_cells, key_tag)
