"""Verify: reads source and table and compares every item, by canonical key and canonical value.

The comparison has its own path from an item to its canonical form, through plain Python values,
so that an error in the columnar path cannot hide on both sides.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa

from connector.core.keys import key_text
from connector.core.state import TableState
from connector.events import Listener
from connector.items import canonical
from connector.items.ruled.ruling import Ruling
from connector.pipeline.comparing.items import Digests, Items, Repairs, digest
from connector.pipeline.comparing.sample import Sample
from connector.pipeline.comparing.targets import InTarget, Places, by_mark
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
    repaired: Difference | None = None
    """Keys whose rows were written anew and are equal now; None if nobody asked for it."""
    sampled: "Sampled | None" = None
    """What was read, if only a share was."""
    region: str | None = None
    """The Region of the replica that was asked for."""
    as_of: datetime | None = None
    """The time of the rows, where a source is not followed up to the present."""
    targets: Mapping[str, InTarget] = field(default_factory=dict)
    """What was found in each target, if there are several."""

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
    repair: Repairs | None = None,
    waits: Iterable[Callable[[], object]] = (),
    ruling: Ruling | None = None,
) -> Verdict:
    """Compares the source with the table; keys that differ are read again, or repaired first.

    With a `sample`, only a share of both is read. `repair` gets the keys that differ. After each of
    `waits`, a source that may be behind is read again where it differs. The table is compared with
    what its rules, the `ruling`, make of the items.
    """
    items = Items(snapshot, lookup, state, ruling, segments, listener)
    # Items may change between the two reads, so a tail comes before each comparison.
    tail()
    there = items.scanned(sample)
    comparison = _Comparison(items, destination, state, tail)
    here = _rows(comparison, there, sample)
    suspects = _differing(there, here)
    matching = by_mark(there[key] for key in there.keys() - suspects)
    for wait in waits:
        if any(map(_is_key, suspects)):
            wait()
            suspects, arrived = comparison.arrived(suspects, there)
            matching += arrived
    found = comparison.settled(suspects, there)
    repaired = None
    if repair is not None:
        found, repaired = _repaired(comparison, found, repair)
    verdict = _verdict(matching + found.matching, found.pairs, found.unsettled, items.places)
    sampled = Sampled(sample.share, len(there.keys() | here.keys())) if sample else None
    return replace(verdict, repaired=repaired, sampled=sampled)


def _repaired(
    comparison: "_Comparison", found: "_Found", repair: Repairs
) -> tuple["_Found", Difference]:
    """What differs once the keys that differed are repaired, and which of them are equal now."""
    wrong = sorted(filter(_is_key, found.pairs))
    if not wrong:
        return found, Difference()
    comparison.items.repaired(wrong, repair)
    again = comparison.settled(set(wrong), {key: found.pairs[key][0] for key in wrong})
    left = {key: pair for key, pair in found.pairs.items() if not _is_key(key)}
    after = _Found(
        found.matching + again.matching, left | again.pairs, found.unsettled | again.unsettled
    )
    return after, _difference(set(wrong) - again.pairs.keys() - again.unsettled)


def _rows(comparison: "_Comparison", there: Digests, sample: Sample | None) -> Digests:
    """The rows to compare with the items that were read; items of further rows are looked up."""
    if sample is None:
        return comparison.rows(lambda key: True)
    here = comparison.rows(lambda key: key in there or sample.has(key))
    there.update(comparison.items.of(sorted(here.keys() - there.keys())))
    return here


@dataclass
class _Found:
    """Keys that were read until they settled: those that differ, and those that kept changing."""

    matching: Counter[bytes] = field(default_factory=Counter)
    """By the mark of the target."""
    pairs: dict[str, _Pair] = field(default_factory=dict)
    unsettled: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Comparison:
    """Reads single keys of both sides again."""

    items: Items
    destination: Destination
    state: TableState
    tail: Callable[[], None]

    def rows(self, wanted: Callable[[str], bool]) -> Digests:
        """The digests of the rows of wanted keys."""
        batches = self.destination.rows(self.state.table)
        return _table_digests(batches, self.items, wanted)

    def arrived(self, suspects: set[str], last: Digests) -> tuple[set[str], Counter[bytes]]:
        """Which keys still differ, and how many others have an item; `last` is kept up to date."""
        asked = sorted(filter(_is_key, suspects))
        self.tail()
        here, there = self.rows(set(asked).__contains__), self.items.of(asked)
        last.update(there)
        equal = {key for key in asked if here.get(key) == there.get(key)}
        return suspects - equal, by_mark(there[key] for key in equal & there.keys())

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
            here, there = self.rows(left.__contains__), self.items.of(sorted(left))
            for key in list(left):
                pair = there.get(key), here.get(key)
                # Whether the source is the same as at the last read, after which a tail has run.
                unchanged, before[key] = before[key] == pair[0], pair[0]
                if pair[0] == pair[1]:
                    found.matching += by_mark([pair[0]] if pair[0] is not None else [])
                elif unchanged:
                    found.pairs[key] = pair
                if pair[0] == pair[1] or unchanged:
                    left.discard(key)
        found.unsettled = left
        return found


def _differing(there: Mapping[str, bytes | None], here: Mapping[str, bytes | None]) -> set[str]:
    changed = {key for key, digest in there.items() if here.get(key) != digest}
    return changed | (here.keys() - there.keys())


def _verdict(
    matching: Counter[bytes], settled: Mapping[str, _Pair], unsettled: set[str], places: Places
) -> Verdict:
    missing = [key for key, (there, here) in settled.items() if here is None]
    extra = [key for key, (there, here) in settled.items() if there is None]
    different = [key for key, (there, here) in settled.items() if there and here]
    return Verdict(
        matching.total(),
        missing=_difference(missing),
        extra=_difference(extra),
        different=_difference(different),
        unsettled=_difference(unsettled),
        targets=places.counted(matching, settled.values()) if places.routes else {},
    )


def _difference(keys: Sequence[str] | set[str]) -> Difference:
    return Difference(len(keys), sorted(keys)[:SHOWN])


def _table_digests(
    batches: Generator[pa.RecordBatch, None, None], items: Items, wanted: Callable[[str], bool]
) -> Digests:
    digests: Digests = {}
    with closing(batches):
        for batch in batches:
            mark = items.places.of_rows(batch)
            for key, value in canonical.of_rows(items.row_keys, batch, items.contract):
                text = key_text(key)
                if wanted(text):
                    # Two rows of one key equal no item, even if they equal each other.
                    digests[text] = _TWICE if text in digests else mark + digest(value)
    return digests


def _is_key(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), list)
    except msgspec.MsgspecError:
        return False


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
    if verdict.targets:
        found["targets"] = {name: vars(each) for name, each in verdict.targets.items()}
    return found | ({} if verdict.region is None else {"region": verdict.region})


def _as_dict(found: Difference) -> dict[str, Any]:
    return {"count": found.count, "keys": list(found.keys)}
