"""An export as a snapshot of its table: its data files are read in segments, as a scan is."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from connector.errors import ExportRefused
from connector.ports import Decoded
from connector.sources.exports.data_files.formats import Format, format_of, items_of, lines_of
from connector.sources.exports.data_files.reading import Lines, Reading
from connector.sources.exports.export import Export, Located
from connector.sources.exports.manifest import AGAIN
from connector.sources.exports.storage import Storage


class _Token(msgspec.Struct, frozen=True):
    """How far a segment was read: a data file, and where in its content."""

    file: str
    end: int = 0


_token = msgspec.json.Decoder(_Token)


@dataclass
class _Open:
    """A data file that is being read, up to a token."""

    token: _Token
    reading: Reading
    lines: Iterator[Lines]


class ExportSnapshot:
    """Reads an export in pages like those of Scan; each segment has every n-th of its files.

    Safe to use from several threads, each on segments of its own.
    """

    def __init__(self, storage: Storage, export: Export) -> None:
        self._storage = storage
        self._export = export
        self._format: Format = format_of(export.format)
        self._open: dict[int, _Open] = {}

    def page(
        self, segment: int, segments: int, since: str | None, decode: Callable[[bytes], Decoded]
    ) -> tuple[Decoded, datetime]:
        """The page after the token `since`, decoded, and the time that the export is of.

        Raises ExportRefused where a file turns out not to be the listed one. Its rows may be in the
        spool by then, and its segment never ends.
        """
        files = self._export.files[segment::segments]
        at = self._begun(files, since)
        while at < len(files):
            opened = self._opened(segment, files[at], since)
            lines = next(opened.lines, None)
            if lines is not None:
                token = _Token(files[at].file.key, lines.end)
                opened.token = token
                items = items_of(self._format, lines, opened.reading.where)
                opened.reading.items += len(items)
                return decode(_page(items, token)), self._export.at
            del self._open[segment]
            at, since = at + 1, None
        return decode(_page((), None)), self._export.at

    def _begun(self, files: Sequence[Located], since: str | None) -> int:
        if since is None:
            return 0
        token = _token.decode(since)
        for at, located in enumerate(files):
            if located.file.key == token.file:
                return at
        raise ExportRefused(
            f"{self._export.url} no longer has {token.file}, which was read from it.", AGAIN
        )

    def _opened(self, segment: int, located: Located, since: str | None) -> _Open:
        token = _token.decode(since) if since else _Token(located.file.key)
        opened = self._open.get(segment)
        if opened is None or opened.token != token:
            reading = lines_of(self._storage, located, self._format)
            opened = self._open[segment] = _Open(
                token, reading, reading.lines(token.end, read_ahead=True)
            )
        return opened


def _page(items: Sequence[bytes | msgspec.Raw], token: _Token | None) -> bytes:
    """Items as Scan would answer with them."""
    count = str(len(items)).encode()
    parts = [b'{"Items":[', b",".join(items), b'],"Count":', count, b',"ScannedCount":', count]
    if token is not None:
        parts += [b',"LastEvaluatedKey":', msgspec.json.encode(token)]
    return b"".join([*parts, b"}"])
