"""Learns what attributes contain, and makes decoders and columns for exactly that.

msgspec decodes into a struct made for known members several times faster than into dictionaries,
and Arrow then joins the texts of the members a column at a time, without a call per value.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, compress
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import astuple

from connector.core.schema import Type
from connector.core.texts import Malformed, json_text, json_texts
from connector.items import columns, values

MAX_MEMBERS = 64
"""A map with more distinct names is keyed by data; it stays a dictionary."""
MAX_DEPTH = 8
MAX_PLACES = 4_000

_CONTENT: dict[str, Any] = {
    "S": str,
    "N": str,
    "B": str,
    "BOOL": bool,
    "NULL": bool,
    "M": dict,
    "L": list,
    "SS": list[str],
    "NS": list[str],
    "BS": list[str],
}


@dataclass
class PlaceLimit:
    """The number of places that may still be learnt, so that odd data cannot fill the memory."""

    left: int = MAX_PLACES


class Shape:
    """One place in the items: the types of values seen there, and what maps and lists contain."""

    def __init__(self, limit: PlaceLimit, depth: int = 0, tags: Iterable[str] = ()) -> None:
        self.tags = set(tags)
        self._limit = limit
        self._depth = depth
        self._members: dict[str, Shape] = {}
        self._elements: Shape | None = None
        # An open place decodes its maps and lists into generic values.
        self._open = depth >= MAX_DEPTH or limit.left <= 0
        self._type: Any = None
        limit.left -= 1

    def learn(self, value: dict[str, Any]) -> bool:
        """Learns from a valid value in wire form; returns whether anything about it was new."""
        ((tag, content),) = value.items()
        new = tag not in self.tags
        self.tags.add(tag)
        if tag == "M" and not self._open:
            new = self._learn_map(content) or new
        elif tag == "L" and not self._open:
            new = self._learn_list(content) or new
        if new:
            self._type = None
        return new

    def _learn_map(self, content: dict[str, Any]) -> bool:
        new = False
        for name, value in content.items():
            if name not in self._members:
                if len(self._members) >= MAX_MEMBERS or not fits_struct(name):
                    self._open = True
                    self._members.clear()
                    return True
                self._members[name] = Shape(self._limit, self._depth + 1)
            new = self._members[name].learn(value) or new
        return new

    def _learn_list(self, content: list[Any]) -> bool:
        if content and self._elements is None:
            self._elements = Shape(self._limit, self._depth + 1)
        return any([self._elements.learn(value) for value in content]) if self._elements else False

    @property
    def type(self) -> Any:
        """A struct for the values here: a single tag is required; several are optional."""
        if self._type is None:
            contents = [(tag, self._content(tag)) for tag in sorted(self.tags)]
            fields = contents if len(contents) == 1 else [(*each, None) for each in contents]
            self._type = msgspec.defstruct("Value", fields, gc=False, forbid_unknown_fields=True)
        return self._type

    def _content(self, tag: str) -> Any:
        if tag == "M" and not self._open:
            return self._map()
        if tag == "L" and not self._open:
            element: Any = self._elements.type if self._elements else _Nothing
            return list[element]
        return _CONTENT[tag]

    def _map(self) -> Any:
        # Sorted, so that equal maps have equal text.
        names = sorted(self._members)
        renamed = {f"a{index}": name for index, name in enumerate(names)}
        types = [self._members[name].type for name in names]
        fields = [(field, type_, None) for field, type_ in zip(renamed, types, strict=True)]
        return msgspec.defstruct(
            "Map", fields, rename=renamed, gc=False, forbid_unknown_fields=True
        )

    def texts(self, found: Sequence[Any]) -> pa.Array:
        """The JSON texts of values of `type`, as a string array; null in place of None.

        Raises Malformed if one of them is invalid.
        """
        present = [value is not None for value in found]
        if all(present):
            return self._texts(found)
        return columns.spread(self._texts(list(compress(found, present))), present)

    def _texts(self, found: Sequence[Any]) -> pa.Array:
        if len(self.tags) == 1:
            (tag,) = self.tags
            return self._content_texts(tag, CONTENTS[tag](found))
        made = []
        for tag in self.tags:
            contents = CONTENTS[tag](found)
            present = [content is not None for content in contents]
            texts = self._content_texts(tag, list(compress(contents, present)))
            made.append(columns.spread(texts, present))
        one = pc.coalesce(*made) if made else pa.nulls(len(found), pa.string())
        if one.null_count or sum(len(found) - each.null_count for each in made) > len(found):
            raise Malformed("an attribute value that does not have exactly one type")
        return one

    def _content_texts(self, tag: str, contents: list[Any]) -> pa.Array:
        if tag == "S":
            return json_texts(contents)
        if tag == "N":
            return columns.canonical_texts(contents)
        if tag == "BOOL":
            return pa.array(contents, pa.bool_()).cast(pa.string())
        if tag == "M" and not self._open:
            return self._map_texts(contents)
        if tag == "L" and not self._open:
            return self._list_texts(contents)
        plain = [values.plain_content(tag, content, self._depth) for content in contents]
        return json_texts(plain)

    def _map_texts(self, maps: list[Any]) -> pa.Array:
        if not self._members or not maps:
            return pa.array(["{}"] * len(maps), pa.string())
        contents = zip(*map(astuple, maps), strict=True)
        named = [
            # The text of an absent member is null, and so is what is joined to it.
            pc.binary_join_element_wise(f"{json_text(name)}:", self._members[name].texts(each), "")
            for name, each in zip(sorted(self._members), contents, strict=True)
        ]
        # Arrow 26 drops a row of which all parts are null, so the first one never is.
        members = pc.binary_join_element_wise("", *named, ",", null_handling="skip")
        return pc.binary_join_element_wise(pc.binary_replace_slice(members, 0, 1, "{"), "}", "")

    def _list_texts(self, lists: list[list[Any]]) -> pa.Array:
        ends = pa.array(accumulate(map(len, lists), initial=0), pa.int32())
        elements = self._elements or Shape(self._limit, self._depth + 1)
        texts = elements.texts(list(chain.from_iterable(lists)))
        members = pc.binary_join(pa.ListArray.from_arrays(ends, texts), ",")
        return pc.binary_join_element_wise("[", members, "]", "")


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """The element type of lists that were always empty; no value fits it."""

    nothing: bool


def fits_struct(name: str) -> bool:
    """Whether a struct field can have the name; msgspec refuses names that JSON must escape."""
    return all(character not in '"\\' and ord(character) >= 0x20 for character in name)


# Spelled out for each tag, since a literal attribute access is several times faster than getattr.
CONTENTS: dict[str, Callable[[Sequence[Any]], list[Any]]] = {
    "S": lambda found: [value.S for value in found],
    "N": lambda found: [value.N for value in found],
    "B": lambda found: [value.B for value in found],
    "BOOL": lambda found: [value.BOOL for value in found],
    "NULL": lambda found: [value.NULL for value in found],
    "M": lambda found: [value.M for value in found],
    "L": lambda found: [value.L for value in found],
    "SS": lambda found: [value.SS for value in found],
    "NS": lambda found: [value.NS for value in found],
    "BS": lambda found: [value.BS for value in found],
}


class _Absent:
    """Represents a missing attribute: every tag is None."""

    S = N = B = BOOL = NULL = M = L = SS = NS = BS = None


ABSENT = _Absent()


def column_of(found: Sequence[Any], shape: Shape) -> tuple[Type, pa.Array] | None:
    """The array of one attribute's values, or None if no item has it."""
    tags = shape.tags
    typed = tags - {"NULL"}
    if len(typed) > 1 or not typed.isdisjoint(("M", "L")):
        present = [value is not ABSENT for value in found]
        texts = shape.texts(list(compress(found, present)))
        return columns.of_texts(texts, present) if len(texts) else None
    if len(tags) == 1:
        (tag,) = tags
        contents = CONTENTS[tag](found)
        if contents.count(None) == len(contents):
            return None
        return columns.of_one_tag(tag, contents)
    cells = [_cell(value, tags) for value in found]
    return columns.of_cells(cells) if any(cells) else None


def _cell(value: Any, tags: set[str]) -> columns.Cell | None:
    if value is ABSENT:
        return None
    cells = [(tag, content) for tag in tags if (content := getattr(value, tag)) is not None]
    if len(cells) != 1:
        raise Malformed("an attribute value that does not have exactly one type")
    return cells[0]
