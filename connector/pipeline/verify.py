"""Verify: reads source and table and compares every item, by canonical key and canonical value.

The comparison has its own path from an item to its canonical form, through plain Python values,
so that an error in the columnar path cannot hide on both sides.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec
import pyarrow as pa

from connector.core.keys import KeySchema, key_text
from connector.core.state import TableState
from connector.core.texts import Malformed
from connector.events import Listener, Scanned
from connector.items import canonical, wire
from connector.items.keys import key_item, key_text_in
from connector.ports import Destination, Lookup, Snapshot

SHOWN = 10
SETTLE_TRIES = 5
"""How often a key that keeps changing is read again before it is reported as unsettled."""


@dataclass(frozen=True)
class Difference:
    """One kind of difference: the number of keys, and the first of them."""

    count: int = 0
    keys: Sequence[str] = ()


@dataclass(frozen=True)
class Verdict:
    """The result of a comparison."""

    matching: int
    missing: Difference = field(default_factory=Difference)
    extra: Difference = field(default_factory=Difference)
    different: Difference = field(default_factory=Difference)
    unsettled: Difference = field(default_factory=Difference)

    @property
    def equal(self) -> bool:
        """Whether the table holds exactly the source's items."""
        return not (self.missing.count or self.extra.count or self.different.count)


Digests = dict[str, bytes]
_TWICE = b"twice"


_Pair = tuple[bytes | None, bytes | None]
"""The digests of one key, in the source and in the table."""


def verify(
    snapshot: Snapshot,
    lookup: Lookup,
    destination: Destination,
    state: TableState,
    *,
    segments: int,
    tail: Callable[[], None],
    listener: Listener,
) -> Verdict:
    """Compares the whole source with the whole table; keys that differ are read again."""
    # Items may change between the two reads, so a tail comes before each comparison.
    tail()
    keys = state.identity.keys
    there = _source_digests(snapshot, keys, segments, listener)
    here = _table_digests(destination.rows(state.table), keys, None)
    suspects = _differing(there, here)
    before = {key: there.get(key) for key in suspects}
    matching = len(there.keys() - suspects)
    # An invalid item has no key by which to read it again.
    settled: dict[str, _Pair] = {key: (there[key], None) for key in suspects if not _is_key(key)}
    suspects -= settled.keys()
    for _ in range(SETTLE_TRIES):
        if not suspects:
            break
        tail()
        here = _table_digests(destination.rows(state.table), keys, suspects)
        there = _again(lookup, keys, sorted(suspects))
        for key in list(suspects):
            pair = there.get(key), here.get(key)
            # Whether the source is the same as at the last read, after which a tail has run.
            unchanged, before[key] = before[key] == pair[0], pair[0]
            if pair[0] == pair[1]:
                matching += pair[0] is not None
            elif unchanged:
                settled[key] = pair
            if pair[0] == pair[1] or unchanged:
                suspects.discard(key)
    return _verdict(matching, settled, suspects)


def _differing(there: Mapping[str, bytes | None], here: Mapping[str, bytes | None]) -> set[str]:
    changed = {key for key, digest in there.items() if here.get(key) != digest}
    return changed | (here.keys() - there.keys())


def _verdict(matching: int, settled: Mapping[str, _Pair], unsettled: set[str]) -> Verdict:
    missing = [key for key, (there, here) in settled.items() if here is None]
    extra = [key for key, (there, here) in settled.items() if there is None]
    different = [key for key, (there, here) in settled.items() if there and here]
    return Verdict(
        matching,
        missing=_difference(missing),
        extra=_difference(extra),
        different=_difference(different),
        unsettled=_difference(unsettled),
    )


def _difference(keys: Sequence[str] | set[str]) -> Difference:
    return Difference(len(keys), sorted(keys)[:SHOWN])


def _source_digests(
    snapshot: Snapshot, keys: KeySchema, segments: int, listener: Listener
) -> Digests:
    def one(segment: int) -> Digests:
        return dict(_segment_digests(snapshot, keys, segment, segments, listener))

    digests: Digests = {}
    with ThreadPoolExecutor(segments, "verify") as threads:
        for part in threads.map(one, range(segments)):
            digests.update(part)
    return digests


def _segment_digests(
    snapshot: Snapshot, keys: KeySchema, segment: int, segments: int, listener: Listener
) -> Iterator[tuple[str, bytes]]:
    token: str | None = None
    while True:
        (items, token), _ = snapshot.page(segment, segments, token, wire.scan_page)
        listener(Scanned(segment, len(items), sum(map(len, items)), token is None))
        for item in items:
            yield _item_digest(keys, item)
        if token is None:
            return


def _item_digest(keys: KeySchema, item: bytes) -> tuple[str, bytes]:
    try:
        key, value = canonical.of_item(keys, item)
    except Malformed:
        # An invalid item cannot be in the table, so it is always a difference.
        digest = _digest(item)
        return key_text_in(keys, item) or f"an item without its key ({digest.hex()})", digest
    return key_text(key), _digest(value)


def _table_digests(
    batches: Generator[pa.RecordBatch, None, None], keys: KeySchema, wanted: set[str] | None
) -> Digests:
    digests: Digests = {}
    with closing(batches):
        for batch in batches:
            for key, value in canonical.of_rows(keys, batch):
                text = key_text(key)
                if wanted is None or text in wanted:
                    # Two rows of one key equal no item, even if they equal each other.
                    digests[text] = _TWICE if text in digests else _digest(value)
    return digests


def _again(lookup: Lookup, keys: KeySchema, texts: Sequence[str]) -> Digests:
    items = lookup.items([key_item(keys, text) for text in texts])
    return dict(_item_digest(keys, item) for item in items if item is not None)


def _is_key(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), list)
    except msgspec.MsgspecError:
        return False


def _digest(value: bytes) -> bytes:
    return blake2b(value, digest_size=16).digest()


def as_dict(verdict: Verdict) -> dict[str, Any]:
    """The verdict for JSON output."""
    return {
        "matching": verdict.matching,
        **{
            name: {"count": found.count, "keys": list(found.keys)}
            for name in ("missing", "extra", "different", "unsettled")
            for found in (getattr(verdict, name),)
        },
    }
