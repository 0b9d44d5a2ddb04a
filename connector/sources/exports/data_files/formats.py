"""What the lines of data files are written in, and a page of items made of some."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from connector.errors import ExportRefused
from connector.sources.exports.data_files.changes import BadLine, ExportChange
from connector.sources.exports.data_files.ion import IonLines
from connector.sources.exports.data_files.json_lines import JsonLines
from connector.sources.exports.data_files.reading import Lines, Reading
from connector.sources.exports.export import Located
from connector.sources.exports.manifest import AGAIN, ION
from connector.sources.exports.storage import Storage


class Format(Protocol):
    """How an item is written in a line."""

    def count(self, text: bytes) -> int:
        """How many items whole lines hold, known without decoding them."""
        ...

    def changes(self, text: bytes) -> Sequence[ExportChange]:
        """The changes of whole lines. Raises BadLine where one has none."""
        ...

    def items(self, text: bytes) -> Sequence[bytes | msgspec.Raw]:
        """The items of whole lines, in wire form. Raises BadLine where one has none."""
        ...


def format_of(name: str) -> Format:
    """The format of an export. Raises ConfigError where what reads it is not installed."""
    return IonLines() if name == ION else JsonLines()


def lines_of(storage: Storage, located: Located, format: Format) -> Reading:
    """A data file, about to be read."""
    where = storage.at.url(located.path)
    return Reading(located.file, where, storage.blocks(located.path), format.count)


def items_of(format: Format, lines: Lines, where: str) -> Sequence[bytes | msgspec.Raw]:
    """The items of lines of a file. Raises ExportRefused where one has none."""
    try:
        return format.items(lines.text)
    except BadLine as error:
        line = lines.before + error.number
        raise ExportRefused(f"{where} has no item in its line {line:,}.", AGAIN) from None


def changes_of(format: Format, lines: Lines, where: str) -> Sequence[ExportChange]:
    """The changes in lines of a file. Raises ExportRefused where one has none."""
    try:
        return format.changes(lines.text)
    except BadLine as error:
        line = lines.before + error.number
        raise ExportRefused(f"{where} has no change in its line {line:,}.", AGAIN) from None
