"""The source's side of a comparison: the digest of each item, by the key of its row."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b

from connector.core.contracts.contract import Contract
from connector.core.keys import KeySchema, key_text
from connector.core.spec import TableSpec
from connector.core.state import TableState
from connector.core.texts import Malformed
from connector.errors import ConfigError
from connector.events import Listener, Scanned
from connector.items import canonical, wire
from connector.items.keys import key_in, key_item, key_text_in
from connector.items.ruled.ruling import Ruling
from connector.pipeline.comparing.sample import Sample
from connector.pipeline.comparing.targets import DIGEST_BYTES, Places
from connector.ports import Lookup, Snapshot

KEYS_AT_ONCE = 400
"""So many items that were looked up are in memory at once."""

Digests = dict[str, bytes]


Find = Callable[[Sequence[str]], Collection[str]]
"""Which of some rows have an item now."""

Repairs = Callable[..., None]
"""Lets the rows of some items be as these are, by key. If the keys of rows are digests, it is also
given those of rows that seem to have no item, and a `Find`."""


@dataclass
class Items:
    """Reads the items of one table, whole or by key, as its rules leave them."""

    snapshot: Snapshot
    lookup: Lookup
    state: TableState
    ruling: Ruling | None
    segments: int
    listener: Listener
    _plain: dict[str, str] = field(default_factory=dict)
    """The keys of items by those of their rows, if these are digests. It stays in memory."""

    @property
    def keys(self) -> KeySchema:
        """The key attributes as items have them."""
        return self.state.identity.keys

    @property
    def row_keys(self) -> KeySchema:
        """The key attributes as rows have them."""
        return self.ruling.row_keys if self.ruling else self.keys

    @property
    def contract(self) -> Contract:
        """What the table's columns are declared to be."""
        return (self.state.spec or TableSpec()).contract

    @property
    def hidden(self) -> bool:
        """Whether the key of an item cannot be told from that of its row."""
        return self.ruling is not None and bool(self.ruling.hashed_keys)

    def scanned(self, sample: Sample | None = None) -> Digests:
        """The digests of all items, or of those of a sample.

        Raises ConfigError for a sample if items cannot be looked up by their rows.
        """
        if sample is not None and self.hidden:
            raise ConfigError(
                f"The key of {self.state.table} is hashed, so no item can be looked up by its row.",
                "Compare all of it: run the command without --sample.",
            )
        drawn: tuple[Sequence[int], int] = (range(self.segments), self.segments)
        chosen, segments = sample.segments(self.segments) if sample else drawn

        def one(segment: int) -> Digests:
            return dict(self._segment(segment, segments))

        digests: Digests = {}
        with ThreadPoolExecutor(len(chosen), "verify") as threads:
            for part in threads.map(one, chosen):
                digests.update(part)
        return digests

    def _segment(self, segment: int, segments: int) -> Iterator[tuple[str, bytes]]:
        token: str | None = None
        while True:
            (items, token), _ = self.snapshot.page(segment, segments, token, wire.scan_page)
            size = sum(map(len, items))
            self.listener(Scanned(segment, len(items), size, token is None))
            yield from self._digests(items)
            if token is None:
                return

    def of(self, texts: Sequence[str]) -> Digests:
        """The digests of the items of some rows, read by key.

        Where a row's key is a digest whose item was never seen, the whole table is read for it.
        """
        if not self.hidden:
            return self._looked_up(texts)
        known = [text for text in texts if text in self._plain]
        digests = self._looked_up([self._plain[text] for text in known])
        if unknown := {*texts}.difference(known):
            found = self.scanned()
            digests.update((text, found[text]) for text in unknown & found.keys())
        return digests

    def _looked_up(self, keys: Sequence[str]) -> Digests:
        digests: Digests = {}
        for at in range(0, len(keys), KEYS_AT_ONCE):
            asked = [key_item(self.keys, text) for text in keys[at : at + KEYS_AT_ONCE]]
            found = (item for item in self.lookup.items(asked) if item is not None)
            digests.update(self._digests(found))
        return digests

    @cached_property
    def places(self) -> Places:
        """Where each item belongs."""
        return Places((self.state.spec or TableSpec()).routes)

    def _digests(self, items: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
        """The keys and digests of the items that no route leaves out."""
        for item in items:
            mark = self.places.of_item(item)
            if mark is not None:
                text, value = self._digest(item)
                yield text, mark + value

    def _digest(self, item: bytes) -> tuple[str, bytes]:
        """The key of an item's row, and the digest of what the rules leave of it."""
        try:
            key, value = canonical.of_item(self.keys, item, self.ruling, self.contract)
        except Malformed:
            # An invalid item cannot be in the table, so it is always a difference.
            unlike = digest(item)
            ruling, keys = self.ruling, self.keys
            text = ruling.key_text_in(item) if ruling else key_text_in(keys, item)
            return text or f"an item without its key ({unlike.hex()})", unlike
        text = key_text(key)
        if self.hidden and (plain := key_in(self.keys, item)) is not None:
            self._plain[text] = key_text(plain)
        return text, digest(value)

    def repaired(self, rows: Sequence[str], repair: Repairs) -> None:
        """Repairs rows by their own keys."""
        if not self.hidden:
            repair(rows)
            return
        known = [self._plain[text] for text in rows if text in self._plain]
        repair(known, [text for text in rows if text not in self._plain], self._there)

    def _there(self, texts: Sequence[str]) -> Collection[str]:
        return self.of(texts).keys()


def digest(value: bytes) -> bytes:
    """The digest by which two canonical values are compared."""
    return blake2b(value, digest_size=DIGEST_BYTES).digest()
