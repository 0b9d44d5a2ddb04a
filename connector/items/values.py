"""Converts an attribute value from DynamoDB's wire format to plain JSON.

On the wire a value is an object with exactly one member, its tag: {"N": "1.5"}. In plain JSON,
numbers keep their digits, sets are sorted arrays and binary is base64 text.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from connector.core.texts import Malformed, canonical

SCALAR_TAGS = ("S", "N", "B", "BOOL", "NULL")
SET_TAGS = ("SS", "NS", "BS")
TAGS = (*SCALAR_TAGS, "M", "L", *SET_TAGS)

# DynamoDB refuses more than 32 levels; no table can have produced twice as many.
MAX_DEPTH = 64


def plain(value: object, depth: int = 0) -> Any:
    """A wire value as JSON-encodable Python; numbers keep their exact digits.

    Raises Malformed if the value is not exactly one known tag with valid content.
    """
    if type(value) is not dict or len(value) != 1:
        raise Malformed("an attribute value that does not have exactly one type")
    ((tag, content),) = value.items()
    if tag == "S" and type(content) is str:
        return content
    if tag == "N" and type(content) is str:
        return number(content)
    return plain_content(tag, content, depth)


def plain_content(tag: str, content: object, depth: int = 0) -> Any:
    """Like `plain`, for a tag and its content."""
    if depth > MAX_DEPTH:
        raise Malformed(f"a value nested deeper than {MAX_DEPTH} levels")
    if tag == "M":
        if type(content) is not dict:
            raise Malformed("a map that is not an object")
        return dict(zip(content, _each(content.values(), depth + 1), strict=True))
    if tag == "L":
        if type(content) is not list:
            raise Malformed("a list that is not an array")
        return _each(content, depth + 1)
    render = _RENDER.get(tag)
    if render is None:
        raise Malformed("an attribute value of an unknown type")
    return render(content)


def _each(members: Iterable[Any], depth: int) -> list[Any]:
    """The members of a map or list. Most are strings or numbers and are handled right here."""
    plains: list[Any] = []
    for value in members:
        if type(value) is dict and len(value) == 1:
            text = value.get("S")
            if type(text) is str:
                plains.append(text)
                continue
            text = value.get("N")
            if type(text) is str:
                plains.append(number(text))
                continue
        plains.append(plain(value, depth))
    return plains


@lru_cache(maxsize=65_536)
def number(text: str) -> msgspec.Raw:
    """A number as JSON with its canonical digits; cached, since the same few numbers recur."""
    return msgspec.Raw(canonical(text).encode())


def binary(content: object) -> bytes:
    """The bytes of a B value. Raises Malformed for text that is not base64."""
    if not isinstance(content, str):
        raise Malformed("a binary that is not base64 text")
    try:
        return b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("a binary that is not base64 text") from error


def _string(content: object) -> str:
    if not isinstance(content, str):
        raise Malformed("a string that is not a string")
    return content


def _boolean(content: object) -> bool:
    if not isinstance(content, bool):
        raise Malformed("a boolean that is not true or false")
    return content


def _null(content: object) -> None:
    if content is not True:
        raise Malformed("a NULL that is not true")


def _base64(content: object) -> str:
    return b64encode(binary(content)).decode()


def _members(content: object) -> list[object]:
    if not isinstance(content, list) or not content:
        raise Malformed("a set that is not an array, or is empty")
    return content


def _strings(content: object) -> list[str]:
    members: list[Any] = _members(content)
    if set(map(type, members)) != {str}:
        raise Malformed("a string that is not a string")
    # The order of code points is that of UTF-8 bytes.
    return sorted(members)


def _numbers(content: object) -> list[msgspec.Raw]:
    texts = sorted((canonical(member) for member in _members(content)), key=Decimal)
    return [msgspec.Raw(text.encode()) for text in texts]


def _binaries(content: object) -> list[str]:
    return [b64encode(each).decode() for each in sorted(binary(m) for m in _members(content))]


_RENDER: dict[str, Callable[[object], Any]] = {
    "S": _string,
    "N": lambda content: number(_string(content)),
    "B": _base64,
    "BOOL": _boolean,
    "NULL": _null,
    "SS": _strings,
    "NS": _numbers,
    "BS": _binaries,
}
