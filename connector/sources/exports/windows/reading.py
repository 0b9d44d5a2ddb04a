"""The pages of one window: its data files, one after the other, as changes."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from connector.core.changes.change import ChangePage, Unnamed
from connector.core.keys import KeySchema, key_text
from connector.core.texts import Malformed
from connector.errors import ExportRefused
from connector.items.keys import key_of, keys_of
from connector.items.records import UNDECODABLE
from connector.sources.exports.data_files.changes import ExportChange
from connector.sources.exports.data_files.formats import Format, changes_of, format_of, lines_of
from connector.sources.exports.data_files.reading import Lines, Reading
from connector.sources.exports.export import Located, open_files
from connector.sources.exports.manifest import AGAIN
from connector.sources.exports.storage import Storage
from connector.sources.exports.windows.chain import Window
from connector.sources.exports.windows.token import Token

EDGE = timedelta(seconds=61)
"""Exports and streams may put a change this far from where the other has it."""
CHECKERS = 4


@dataclass
class _Open:
    """A data file that is being read, up to a token."""

    token: Token
    reading: Reading
    lines: Iterator[Lines]


class WindowReading:
    """Reads one window from a token on; all of it is checked before any of it is read."""

    def __init__(
        self,
        storage: Storage,
        folder: str,
        window: Window,
        keys: KeySchema,
        sleep: Callable[[float], None],
    ) -> None:
        self.window = window
        self._storage = storage
        self._keys = keys
        self._sleep = sleep
        self._format: Format = format_of(window.summary.format)
        self._files = open_files(storage, folder, window.summary)
        self._open: _Open | None = None

    def begin(self, token: Token, now: datetime) -> ChangePage:
        """The page before the first: all files are whole, and what they may leave out is known.

        Raises ExportRefused where a file is not the listed one.
        """
        named: list[list[int]] = []
        with ThreadPoolExecutor(CHECKERS, "export") as threads:
            for hashes in threads.map(self._hashes, self._files):
                named.append(hashes)
        every = pa.array([each for hashes in named for each in hashes], pa.int64())

        def are_named(keys: Sequence[str]) -> list[bool]:
            found: list[bool] = pc.is_in(pa.array(map(hash, keys), pa.int64()), every).to_pylist()
            return found

        overlaps = token.known is None or self.window.begin < token.known
        since = self.window.begin - EDGE if overlaps else self.window.begin
        return ChangePage((), token.text(), now, unnamed=Unnamed(since, are_named))

    def page(self, token: Token, now: datetime) -> ChangePage:
        """The changes after a token, of about a megabyte of lines; the last page ends the window.

        Raises ExportRefused where a file turns out not to be the listed one.
        """
        at = self._begun(token)
        while at < len(self._files):
            opened = self._opened(self._files[at], token)
            lines = next(opened.lines, None)
            if lines is not None:
                opened.token = msgspec.structs.replace(
                    token, file=self._files[at].file.key, end=lines.end
                )
                changes = changes_of(self._format, lines, opened.reading.where)
                opened.reading.items += len(changes)
                return ChangePage(changes, opened.token.text(), now, ordinary=True)
            self._open = None
            at, token = at + 1, msgspec.structs.replace(token, file="", end=0)
        after = token.after(self.window.end)
        return ChangePage((), after.text(), now, through=after.covered)

    def _begun(self, token: Token) -> int:
        if not token.file:
            return 0
        for at, located in enumerate(self._files):
            if located.file.key == token.file:
                return at
        raise ExportRefused(
            f"{self.window.summary.where} no longer has {token.file}, which was read from it.",
            AGAIN,
        )

    def _opened(self, located: Located, token: Token) -> _Open:
        if self._open is None or self._open.token != token:
            reading = lines_of(self._storage, located, self._format)
            self._open = _Open(token, reading, reading.lines(token.end))
        return self._open

    def _hashes(self, located: Located) -> list[int]:
        """A number for each key of a file, which is read to its end."""
        reading = lines_of(self._storage, located, self._format)
        found: list[int] = []
        for lines in reading.lines():
            self._sleep(0)
            changes = changes_of(self._format, lines, reading.where)
            reading.items += len(changes)
            found += [hash(key) for key in self._key_texts(changes, reading.where)]
        return found

    def _key_texts(self, changes: Sequence[ExportChange], where: str) -> list[str]:
        try:
            return [key_text(key) for key in keys_of(self._keys, [each.Keys for each in changes])]
        except (ValueError, RecursionError):
            return [self._key_text(each, where) for each in changes]

    def _key_text(self, change: ExportChange, where: str) -> str:
        try:
            return key_text(key_of(self._keys, msgspec.json.decode(change.Keys)))
        except (*UNDECODABLE, Malformed):
            names = " and ".join(f"{key.name} ({key.tag})" for key in self._keys)
            raise ExportRefused(
                f"{where} has a change without the key of the table, {names}.", AGAIN
            ) from None
