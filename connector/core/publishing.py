"""What is published for readers, and what stands in the way of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from connector.core.state import Phase, TableState


@dataclass(frozen=True)
class Standing:
    """A table, as far as it matters to whoever publishes all of them."""

    table: str
    phase: Phase
    problem: str | None
    commit: int

    @classmethod
    def of(cls, state: TableState) -> "Standing":
        """Where a table of this state stands."""
        return cls(state.table, state.phase, state.problem, state.commit)


@dataclass(frozen=True)
class Copied:
    """A copy that was published. `size` is in bytes."""

    path: Path
    size: int
    seconds: float
    shared: bool
    """Whether the copy shares the file's blocks on the disk, until either is written."""

    @property
    def text(self) -> str:
        """The copy in words."""
        how = ", sharing blocks with the file" if self.shared else ""
        return f"published {self.path}: {self.size / 1e6:,.1f} MB in {self.seconds:.2f} s{how}"


@dataclass(frozen=True)
class Held:
    """Why nothing new is published, as a clause for each table."""

    reasons: tuple[str, ...]

    @property
    def text(self) -> str:
        """The reasons in words."""
        return f"nothing new is published while {' and '.join(self.reasons)}"


@dataclass(frozen=True)
class Published:
    """What is published at present, as `connector status` shows it."""

    at: datetime | None
    """Of when the copy is; None if there is none."""
    held_back: str | None
    """Why nothing newer will be published for now."""

    @classmethod
    def of(cls, at: datetime | None, states: Iterable[TableState]) -> "Published":
        """What is published of tables with these states."""
        why = held(Standing.of(state) for state in states)
        return cls(at, None if why is None else why.text)


def held(standings: Iterable[Standing]) -> Held | None:
    """What keeps a copy of these tables from being published, if anything does.

    A copy has either all tables whole, or it is not made.
    """
    reasons = [reason for each in standings if (reason := _reason(each))]
    return Held(tuple(reasons)) if reasons else None


def _reason(standing: Standing) -> str:
    if standing.problem:
        return f"{standing.table} needs a person"
    if standing.phase is Phase.LOADING:
        return f"{standing.table} is being read as a whole"
    return ""


class Copies(Protocol):
    """Copies of a whole destination that are published for its readers, each in one moment."""

    @property
    def every(self) -> float:
        """At least so many seconds lie between two of them while a run goes on."""
        ...

    def check(self) -> str:
        """Tries to put a copy in its place; returns what is there. Raises DestinationRefused."""
        ...

    def refuse(self) -> None:
        """Raises DestinationRefused if what is in the place must not be replaced."""
        ...

    def newest(self) -> datetime | None:
        """Of when the published copy is; None if there is none."""
        ...

    def publish(self, going: Callable[[], None]) -> Copied | Held | None:
        """Publishes all that is committed; None if that is published already.

        `going` is called again and again, and may raise.
        """
        ...
