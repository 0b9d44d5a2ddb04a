"""A data file as lines: decompressed in a bounded memory, and checked by the time it has ended."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from connector.core.words import counted
from connector.errors import ExportRefused
from connector.sources.exports.manifest import AGAIN, DataFile

try:
    # Twice as fast as Python's own, which does as well on machines that it is not made for.
    from isal import isal_zlib as zlib
except ImportError:
    import zlib

LINES_BYTES = 1024**2
"""About as many as a page of Scan has."""
LONGEST_LINE = 32 * 1024**2
"""An item has 400 KB, and its text, with every character escaped, a few times as many."""
_GZIP = 16 + zlib.MAX_WBITS


@dataclass
class Unpacking:
    """The content of a gzip file, whose compressed blocks are hashed as they come."""

    blocks: Iterable[bytes]
    where: str
    md5: "hashlib._Hash" = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))

    def __iter__(self) -> Iterator[bytes]:
        member = zlib.decompressobj(wbits=_GZIP)
        begun = False
        for block in self.blocks:
            self.md5.update(block)
            while block:
                begun = True
                if member.eof:
                    # One gzip file may follow another in the same file.
                    member = zlib.decompressobj(wbits=_GZIP)
                try:
                    content = member.decompress(block, LINES_BYTES)
                except zlib.error:
                    raise ExportRefused(
                        f"{self.where} is damaged: it cannot be decompressed.", AGAIN
                    ) from None
                block = member.unused_data if member.eof else member.unconsumed_tail
                if content:
                    yield content
        # That of a partition without items has no byte at all.
        if begun and not member.eof:
            raise ExportRefused(f"{self.where} was cut off.", AGAIN)


def ahead(content: Iterator[bytes]) -> Iterator[bytes]:
    """The same blocks, each made by another thread while the one before it is used."""
    with ThreadPoolExecutor(1, "export") as thread:
        following = thread.submit(next, content, None)
        while (block := following.result()) is not None:
            following = thread.submit(next, content, None)
            yield block


class Miscounted(ExportRefused):
    """A file has another number of items than is listed."""


@dataclass(frozen=True)
class Lines:
    """Whole lines of a data file, and where in its content they end."""

    text: bytes
    before: int
    """How many items of the file stand before them."""
    end: int


@dataclass
class Reading:
    """Reads one data file from its beginning to its end, and then knows whether it is whole."""

    file: DataFile
    where: str
    """The file's url."""
    blocks: Iterable[bytes]
    count: Callable[[bytes], int]
    items: int = 0
    """How many were met; whoever takes lines adds those in them."""

    def lines(self, since: int = 0, read_ahead: bool = False) -> Iterator[Lines]:
        """Whole lines after the first `since` bytes, about a megabyte at a time.

        `read_ahead` is for whoever does more with them than count them.

        Raises ExportRefused where the file is not the listed one. Lines that were given may have to
        be thrown away then, so nobody keeps them before the end.
        """
        content = Unpacking(self.blocks, self.where)
        rest, end = b"", 0
        for text in ahead(iter(content)) if read_ahead else content:
            at = text.rfind(b"\n") + 1
            if not at or len(rest) + len(text) < LINES_BYTES:
                rest += text
                self._check_length(rest)
                continue
            whole, rest = b"".join((rest, memoryview(text)[:at])), text[at:]
            end += len(whole)
            yield from self._after(since, whole, end)
        if rest:
            yield from self._after(since, rest, end + len(rest))
        self._check(content.md5.digest())

    def _after(self, since: int, whole: bytes, end: int) -> Iterator[Lines]:
        known = min(len(whole), max(0, since - (end - len(whole))))
        if known:
            self.items += self.count(whole[:known])
        if text := whole[known:]:
            yield Lines(text, self.items, end)

    def _check_length(self, rest: bytes) -> None:
        if len(rest) > LONGEST_LINE:
            raise ExportRefused(
                f"{self.where} has a line of more than {LONGEST_LINE >> 20} MB, which no item has.",
                AGAIN,
            )

    def _check(self, md5: bytes) -> None:
        if self.file.md5 is not None and self.file.md5 != md5:
            raise ExportRefused(f"{self.where} is damaged: its MD5 is another one.", AGAIN)
        if self.items != self.file.items:
            found, listed = counted(self.items, "item"), f"{self.file.items:,} are listed"
            raise Miscounted(f"{self.where} has {found}, and {listed}.", AGAIN)
