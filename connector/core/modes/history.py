"""The history of a table: the changes of a key become versions, each with a beginning and an end.

Times of changes are whole seconds, and those of scanned pages are finer. A version begins at its
own time or at that of the version before, whichever is later.
"""

from collections.abc import Sequence
from enum import StrEnum
from itertools import accumulate
from math import isfinite
from typing import NamedTuple

import pyarrow as pa

from connector.core.changes.change import Change


class Op(StrEnum):
    """How a version began, or what a record of the log did."""

    SNAPSHOT = "snapshot"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    GAP = "gap"


class EndedBy(StrEnum):
    """How a version ended."""

    UPDATE = "update"
    DELETE = "delete"
    EXPIRY = "expiry"
    GAP = "gap"
    REFRESH = "refresh"


_MOMENT = pa.timestamp("us", "UTC")
OP = pa.field("op", pa.string())
"""How a row's version began."""
ENDED_AT = pa.field("ended_at", _MOMENT)
"""When the version ended that was there before; of a version that has ended, when that was."""
ENDED_BY = pa.field("ended_by", pa.string())
PLACE = pa.field("place", pa.int64())
"""The place of a version among those of its key and its commit."""
OF_VERSIONS = (OP, ENDED_AT, ENDED_BY, PLACE)

LAST = 2**31 - 1
"""The place of the version that a commit left in the table."""


class Version(NamedTuple):
    """A version that the next change of the same batch ended; times are seconds since 1970."""

    change: Change
    begins: float
    op: Op
    ends: float
    ended_by: EndedBy
    place: int


class Turn(NamedTuple):
    """What the changes of one batch did to one key."""

    ended_at: float
    """When the version ended that was there before."""
    ended_by: EndedBy
    at: float
    """When the newest change was made."""
    op: Op
    between: tuple[Version, ...] = ()
    """The versions that began and ended in the batch."""


def op_of(change: Change, gone: bool) -> Op:
    """What a change did to its item, which is `gone` after it or not."""
    if gone:
        return Op.DELETE
    return Op.INSERT if change.created else Op.UPDATE


def turn_of(changes: Sequence[Change]) -> Turn:
    """The turn of a key that had these changes, at least one, in any order."""
    if len(changes) == 1:
        return _only(changes[0])
    ordered = sorted(changes, key=lambda change: change.version)
    # A change without a time counts as made at the time of the one before.
    times = list(accumulate((c.at if isfinite(c.at) else 0.0 for c in ordered), max))
    pairs = zip(ordered, ordered[1:], times, times[1:], strict=False)
    between = tuple(
        Version(change, begins, op_of(change, False), ends, _ended_by(following), place)
        for place, (change, following, begins, ends) in enumerate(pairs)
        if change.image is not None
    )
    return Turn(
        times[0],
        _ended_by(ordered[0]),
        times[-1],
        op_of(ordered[-1], ordered[-1].image is None),
        between,
    )


def lost_turn(change: Change) -> Turn:
    """The turn of a key of which only the last of several changes is known."""
    at = change.at if isfinite(change.at) else 0.0
    return Turn(at, EndedBy.GAP, at, Op.GAP)


def _only(change: Change) -> Turn:
    at = change.at if isfinite(change.at) else 0.0
    if change.image is not None:
        return Turn(at, EndedBy.UPDATE, at, op_of(change, False))
    return Turn(at, _ended_by(change), at, Op.DELETE)


def _ended_by(change: Change) -> EndedBy:
    if change.image is not None:
        return EndedBy.UPDATE
    return EndedBy.EXPIRY if change.expired else EndedBy.DELETE
