"""Canonical keys: typed, exact, the same for every spelling of a number."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import astuple

from connector.core.keys import KeyAttribute, KeySchema, key_text
from connector.core.texts import Malformed, canonical
from connector.items import parts, values


def key_of(schema: KeySchema, item: Mapping[str, Any]) -> tuple[str, ...]:
    """The canonical key of an item in wire form: a text for each part.

    Raises Malformed if a part is missing, empty or of another type.
    """
    return tuple(_part(attribute, item) for attribute in schema)


def keys_of(schema: KeySchema, raws: Sequence[Raw]) -> list[tuple[str, ...]]:
    """Like `key_of`, for many items at once and several times faster.

    Raises Malformed or ValueError if one of them is not as it should be.
    """
    if not raws:
        return []
    decoder = _decoder(schema)
    columns = zip(*map(astuple, decoder.decode(b"[" + b",".join(raws) + b"]")), strict=True)
    texts = (
        _part_texts(attribute.tag, found) for attribute, found in zip(schema, columns, strict=True)
    )
    return list(zip(*texts, strict=True))


@lru_cache(maxsize=256)
def _decoder(schema: KeySchema) -> "msgspec.json.Decoder[list[Any]]":
    values_of = {
        tag: msgspec.defstruct(
            "Value", [("text", str)], rename={"text": tag}, gc=False, forbid_unknown_fields=True
        )
        for tag in "SNB"
    }
    names = {f"part{index}": attribute.name for index, attribute in enumerate(schema)}
    fields = [(field, values_of[a.tag]) for field, a in zip(names, schema, strict=True)]
    key = msgspec.defstruct("Key", fields, rename=names, gc=False)
    decoder: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(
        list[key]  # type: ignore[valid-type]
    )
    return decoder


def _part_texts(tag: str, found: Sequence[Any]) -> list[str]:
    contents = [value.text for value in found]
    if tag != "S":
        return [part_text(tag, content) for content in contents]
    if not all(contents):
        raise Malformed("an item with an empty key")
    return contents


def _part(attribute: KeyAttribute, item: Mapping[str, Any]) -> str:
    value = item.get(attribute.name)
    if not isinstance(value, Mapping) or len(value) != 1 or attribute.tag not in value:
        raise Malformed("an item without its key, or with a key of another type")
    return part_text(attribute.tag, value[attribute.tag])


def part_text(tag: str, content: object) -> str:
    """The canonical text of one key part."""
    if tag == "N":
        return canonical(content)
    if not isinstance(content, str) or not content:
        raise Malformed("an item with an empty key")
    if tag == "B":
        return str(values.plain_content("B", content))
    return content


def key_in(schema: KeySchema, raw: bytes) -> tuple[str, ...] | None:
    """The key of an item with otherwise arbitrary members; None if it has no valid one."""
    try:
        members = parts.members(raw)
        item = {a.name: msgspec.json.decode(members[a.name]) for a in schema}
        return key_of(schema, item)
    except (KeyError, ValueError, RecursionError):
        return None


def key_text_in(schema: KeySchema, raw: bytes) -> str | None:
    """The `key_text` of an item with otherwise arbitrary members; None if it has no valid key."""
    key = key_in(schema, raw)
    return None if key is None else key_text(key)


def item_of_key(schema: KeySchema, key: Sequence[str]) -> bytes:
    """The wire form of a canonical key."""
    item = {a.name: {a.tag: part} for a, part in zip(schema, key, strict=True)}
    return msgspec.json.encode(item)


def key_item(schema: KeySchema, text: str) -> bytes:
    """The wire form of a key written by `key_text`."""
    return item_of_key(schema, msgspec.json.decode(text, type=list[str]))
