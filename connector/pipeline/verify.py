"""Verify: reads source and table and compares every item, by canonical key and canonical value.

The comparison has its own path from an item to its canonical form, through plain Python values,
so that an error in the columnar path cannot hide on both sides.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
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
from connector.pipeline.sample import Sample
from connector.ports import Destination, Lookup, Snapshot

SHOWN = 10
KEYS_AT_ONCE = 400
"""So many items that were looked up are in memory at once."""
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
    repaired: Difference | None = None
    """Keys whose rows were written anew and are equal now; None if nobody asked for it."""
    sampled: "Sampled | None" = None
    """What was read, if only a share was."""
    region: str | None = None
    """The Region of the replica that was asked for."""

    @property
    def equal(self) -> bool:
        """Whether the table holds exactly the source's items."""
        return not (self.missing.count or self.extra.count or self.different.count)


@dataclass(frozen=True)
class Sampled:
    """How much of a table was compared."""

    share: float
    """What was asked for."""
    keys: int


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
    sample: Sample | None = None,
    repair: Callable[[Sequence[str]], None] | None = None,
    waits: Iterable[Callable[[], object]] = (),
) -> Verdict:
    """Compares the source with the table; keys that differ are read again, or repaired first.

    With a `sample`, only a share of both is read. `repair` gets the keys that differ. After each of
    `waits`, a source that may be behind is read again where it differs.
    """
    # Items may change between the two reads, so a tail comes before each comparison.
    tail()
    keys = state.identity.keys
    there = _source_digests(snapshot, keys, _drawn(sample, segments), listener)
    comparison = _Comparison(lookup, destination, state, tail)
    here = _rows(comparison, there, sample)
    suspects = _differing(there, here)
    matching = len(there.keys() - suspects)
    for wait in waits:
        if any(map(_is_key, suspects)):
            wait()
            suspects, arrived = comparison.arrived(suspects, there)
            matching += arrived
    found = comparison.settled(suspects, there)
    repaired = None
    if repair is not None:
        found, repaired = _repaired(comparison, found, repair)
    verdict = _verdict(matching + found.matching, found.pairs, found.unsettled)
    sampled = Sampled(sample.share, len(there.keys() | here.keys())) if sample else None
    return replace(verdict, repaired=repaired, sampled=sampled)


def _repaired(
    comparison: "_Comparison", found: "_Found", repair: Callable[[Sequence[str]], None]
) -> tuple["_Found", Difference]:
    """What differs once the keys that differed are repaired, and which of them are equal now."""
    wrong = sorted(filter(_is_key, found.pairs))
    if not wrong:
        return found, Difference()
    repair(wrong)
    again = comparison.settled(set(wrong), {key: found.pairs[key][0] for key in wrong})
    left = {key: pair for key, pair in found.pairs.items() if not _is_key(key)}
    after = _Found(
        found.matching + again.matching, left | again.pairs, found.unsettled | again.unsettled
    )
    return after, _difference(set(wrong) - again.pairs.keys() - again.unsettled)


def _drawn(sample: Sample | None, segments: int) -> tuple[Sequence[int], int]:
    """The segments to scan, and how many there are."""
    return sample.segments(segments) if sample else (range(segments), segments)


def _rows(comparison: "_Comparison", there: Digests, sample: Sample | None) -> Digests:
    """The rows to compare with the items that were read; items of further rows are looked up."""
    if sample is None:
        return comparison.rows(lambda key: True)
    here = comparison.rows(lambda key: key in there or sample.has(key))
    there.update(comparison.items(sorted(here.keys() - there.keys())))
    return here


@dataclass
class _Found:
    """Keys that were read until they settled: those that differ, and those that kept changing."""

    matching: int = 0
    pairs: dict[str, _Pair] = field(default_factory=dict)
    unsettled: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Comparison:
    """Reads single keys of both sides again."""

    lookup: Lookup
    destination: Destination
    state: TableState
    tail: Callable[[], None]

    def rows(self, wanted: Callable[[str], bool]) -> Digests:
        """The digests of the rows of wanted keys."""
        batches = self.destination.rows(self.state.table)
        return _table_digests(batches, self.state.identity.keys, wanted)

    def items(self, texts: Sequence[str]) -> Digests:
        """The digests of the items of some keys."""
        keys = self.state.identity.keys
        digests: Digests = {}
        for at in range(0, len(texts), KEYS_AT_ONCE):
            asked = [key_item(keys, text) for text in texts[at : at + KEYS_AT_ONCE]]
            found = (item for item in self.lookup.items(asked) if item is not None)
            digests.update(_item_digest(keys, item) for item in found)
        return digests

    def arrived(self, suspects: set[str], last: Digests) -> tuple[set[str], int]:
        """Which keys still differ, and how many others have an item; `last` is kept up to date."""
        asked = sorted(filter(_is_key, suspects))
        self.tail()
        here, there = self.rows(set(asked).__contains__), self.items(asked)
        last.update(there)
        equal = {key for key in asked if here.get(key) == there.get(key)}
        return suspects - equal, len(equal & there.keys())

    def settled(self, suspects: set[str], last: Mapping[str, bytes | None]) -> _Found:
        """Reads keys until they are equal, or their source is as it was at the `last` look."""
        before = {key: last.get(key) for key in suspects}
        # An invalid item has no key by which to read it again.
        found = _Found(pairs={key: (last.get(key), None) for key in suspects if not _is_key(key)})
        left = suspects - found.pairs.keys()
        for _ in range(SETTLE_TRIES):
            if not left:
                break
            self.tail()
            here, there = self.rows(left.__contains__), self.items(sorted(left))
            for key in list(left):
                pair = there.get(key), here.get(key)
                # Whether the source is the same as at the last read, after which a tail has run.
                unchanged, before[key] = before[key] == pair[0], pair[0]
                if pair[0] == pair[1]:
                    found.matching += pair[0] is not None
                elif unchanged:
                    found.pairs[key] = pair
                if pair[0] == pair[1] or unchanged:
                    left.discard(key)
        found.unsettled = left
        return found


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
    snapshot: Snapshot, keys: KeySchema, drawn: tuple[Sequence[int], int], listener: Listener
) -> Digests:
    chosen, segments = drawn

    def one(segment: int) -> Digests:
        return dict(_segment_digests(snapshot, keys, segment, segments, listener))

    digests: Digests = {}
    with ThreadPoolExecutor(len(chosen), "verify") as threads:
        for part in threads.map(one, chosen):
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
    batches: Generator[pa.RecordBatch, None, None], keys: KeySchema, wanted: Callable[[str], bool]
) -> Digests:
    digests: Digests = {}
    with closing(batches):
        for batch in batches:
            for key, value in canonical.of_rows(keys, batch):
                text = key_text(key)
                if wanted(text):
                    # Two rows of one key equal no item, even if they equal each other.
                    digests[text] = _TWICE if text in digests else _digest(value)
    return digests


def _is_key(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), list)
    except msgspec.MsgspecError:
        return False


def _digest(value: bytes) -> bytes:
    return blake2b(value, digest_size=16).digest()


def as_dict(verdict: Verdict) -> dict[str, Any]:
    """The verdict for JSON output; what was not asked for is not in it."""
    found: dict[str, Any] = {
        "matching": verdict.matching,
        **{
            name: _as_dict(getattr(verdict, name))
            for name in ("missing", "extra", "different", "unsettled")
        },
    }
    if verdict.repaired is not None:
        found["repaired"] = _as_dict(verdict.repaired)
    if verdict.sampled is not None:
        found["sample"] = {"share": verdict.sampled.share, "keys": verdict.sampled.keys}
    return found | ({} if verdict.region is None else {"region": verdict.region})


def _as_dict(found: Difference) -> dict[str, Any]:
    return {"count": found.count, "keys": list(found.keys)}
