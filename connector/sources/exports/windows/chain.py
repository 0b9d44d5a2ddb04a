"""Which window comes next, and where one is missing: pure functions over values."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from connector.sources.exports.manifest import Summary


@dataclass(frozen=True)
class Window:
    """One incremental export: what was changed from `begin` on, and before `end`."""

    name: str
    """Of the folder that holds its manifests."""
    begin: datetime
    end: datetime
    summary: Summary


@dataclass(frozen=True)
class Hole:
    """A time that no window covers; `end` is None where there is no later window."""

    begin: datetime
    end: datetime | None
    early: bool = False
    """Whether a window covers its beginning, but begins before it may."""


def following(
    windows: Iterable[Window], covered: datetime, floor: datetime | None = None
) -> Window | None:
    """The window that goes on from a time: one that begins there, or else the latest before it.

    None may begin before `floor`.
    """
    fitting = [
        each
        for each in windows
        if each.begin <= covered < each.end and (floor is None or each.begin >= floor)
    ]
    return max(fitting, key=lambda each: (each.begin, each.end, each.name), default=None)


def hole(
    windows: Iterable[Window], covered: datetime, floor: datetime | None, until: datetime | None
) -> Hole | None:
    """The first hole from a time on, and before `until`; without one, only between windows."""
    known = list(windows)
    while until is None or covered < until:
        window = following(known, covered, floor)
        if window is None:
            later = [each.begin for each in known if each.begin > covered]
            early = [each.end for each in known if each.begin < covered < each.end]
            if not (later or early) and until is None:
                return None
            end = min(later, default=max(early, default=None))
            return Hole(covered, end, early=bool(early))
        covered = window.end
    return None
