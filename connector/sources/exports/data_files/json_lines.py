"""Lines of DynamoDB JSON, `{"Item": {...}}`, as raw items in wire form."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from connector.core.texts import Malformed
from connector.items import parts
from connector.items.records import UNDECODABLE
from connector.sources.exports.data_files.changes import (
    BadLine,
    ExportChange,
    changes_of_lines,
)


class _Line(msgspec.Struct, gc=False):
    Item: Raw


_line = msgspec.json.Decoder(_Line)


class JsonLines:
    """Lines of DynamoDB JSON."""

    def count(self, text: bytes) -> int:
        """How many items whole lines hold, known without decoding them."""
        return len(filled(text))

    def items(self, text: bytes) -> Sequence[bytes | Raw]:
        """The items of whole lines. Raises BadLine where one has none.

        What in an item is not legal is for whoever decodes it.
        """
        try:
            return [line.Item for line in _line.decode_lines(text)]
        except UNDECODABLE:
            return [_item(line, number) for number, line in enumerate(filled(text), 1)]

    def changes(self, text: bytes) -> Sequence[ExportChange]:
        """The changes of whole lines. Raises BadLine where one has none."""
        return changes_of_lines(filled(text))


def line_count(text: bytes) -> int:
    """How many lines there are, blank ones too."""
    return text.count(b"\n") + (not text.endswith(b"\n"))


def filled(text: bytes) -> list[bytes]:
    """Lines that are not blank. Only a line feed ends one: others may stand in a string."""
    return [line for line in text.split(b"\n") if line.strip()]


def _item(line: bytes, number: int) -> bytes:
    try:
        return parts.members(line)["Item"]
    except (Malformed, KeyError):
        raise BadLine(number) from None
