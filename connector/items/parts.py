"""Splits JSON text into parts, each as it is on the wire, even if it cannot be decoded.

A decoder rejects a whole text because of one lone surrogate or one value nested too deeply.
Splitting looks only at the grammar, so that only the bad part is lost.
"""

import json
import re

import msgspec
from msgspec import UNSET, Raw, UnsetType

from connector.core.texts import Malformed
from connector.items.records import UNDECODABLE

_SPACE = rb"[ \t\r\n]*+"
_TEXT = rb'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})[^"\\\x00-\x1f]*+)*+"'
_NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?"
# Python writes the last two; only a value that contains them is affected.
_WORD = rb"true|false|null|NaN|-?Infinity"
_EMPTY = rb"\{" + _SPACE + rb"\}|\[" + _SPACE + rb"\]"

_VALUE = re.compile(
    _SPACE + rb"(?:(?P<whole>" + b"|".join((_TEXT, _NUMBER, _WORD, _EMPTY)) + rb")|(?P<open>[{[]))"
)
_NAME = re.compile(_SPACE + rb"(" + _TEXT + rb")" + _SPACE + rb":")
_NEXT = re.compile(_SPACE + rb"([,\]}])")
_END = re.compile(_SPACE + rb"\Z")
_CLOSER = {b"{": b"}", b"[": b"]"}
_text = msgspec.json.Decoder(str)


def members(text: bytes) -> dict[str, bytes]:
    """The members of an object, in raw form. Raises Malformed if the text is not an object."""
    if not text.lstrip().startswith(b"{"):
        raise Malformed("a text that is not a JSON object")
    return {json.loads(name.decode(errors="surrogateescape")): raw for name, raw in _parts(text)}


def found(text: bytes) -> dict[str, bytes]:
    """The members of an object, in raw form; none if the text is not an object."""
    try:
        return members(text)
    except Malformed:
        return {}


def word(raw: bytes | None) -> str:
    """A part as text; empty if it is absent, or no text that can be decoded."""
    try:
        return _text.decode(raw or b"null")
    except UNDECODABLE:
        return ""


def raw(text: bytes | None) -> Raw | UnsetType:
    """A part as a decoder gives it, which may be absent."""
    return UNSET if text is None else Raw(text)


def elements(text: bytes) -> list[bytes]:
    """The elements of an array, in raw form. Raises Malformed if the text is not an array."""
    if not text.lstrip().startswith(b"["):
        raise Malformed("a text that is not a JSON array")
    return [raw for _, raw in _parts(text)]


def _parts(text: bytes) -> list[tuple[bytes, bytes]]:
    """The parts of the outermost object or array, each with the text of its name.

    It does not recurse, so no depth is too much.
    """
    found: list[tuple[bytes, bytes]] = []
    closers: list[bytes] = []
    name, start, at = b"", 0, 0
    while True:
        if closers and closers[-1] == b"}":
            named = _match(_NAME, text, at)
            at = named.end()
            name = named[1] if len(closers) == 1 else name
        value = _match(_VALUE, text, at)
        at = value.end()
        if len(closers) == 1:
            start = value.start("open" if value["open"] else "whole")
        if value["open"]:
            closers.append(_CLOSER[value["open"]])
            continue
        while closers:
            if len(closers) == 1:
                found.append((name, text[start:at]))
            following = _match(_NEXT, text, at)
            at = following.end()
            if following[1] == b",":
                break
            if following[1] != closers.pop():
                raise Malformed("a text that is not JSON")
        else:
            _match(_END, text, at)
            return found


def _match(pattern: re.Pattern[bytes], text: bytes, at: int) -> re.Match[bytes]:
    found = pattern.match(text, at)
    if found is None:
        raise Malformed("a text that is not JSON")
    return found
