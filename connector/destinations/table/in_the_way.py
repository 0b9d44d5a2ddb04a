"""What prevents a write: names the table, the column and the objects of others."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from connector.destinations.sql import Target
from connector.errors import ConnectorError, DestinationRefused, QueryFailed

NAMED = 5

Result = TypeVar("Result")


class NotWidened(Exception):
    """A column could not get another type; the cause says why."""

    def __init__(self, column: str, type_: str) -> None:
        super().__init__(column, type_)
        self.column = column
        self.type_ = type_


Explain = Callable[[Exception, NotWidened | None], ConnectorError | None]
"""A better error for a cause, or None if there is none."""


@contextmanager
def explained(explain: Explain) -> Iterator[None]:
    """Raises the error that `explain` returns if the block fails."""
    widening: NotWidened | None = None
    try:
        yield
        return
    except NotWidened as error:
        widening = error
        assert isinstance(error.__cause__, Exception)
        cause = error.__cause__
    except Exception as error:
        cause = error
    # Outside of the handlers: the database's message may contain values.
    raise explain(cause, widening) or cause


def forgetting(work: Callable[[], Result]) -> Result:
    """The result of `work`; an error loses its cause, which may contain values."""
    try:
        return work()
    except (DestinationRefused, QueryFailed) as error:
        refused: ConnectorError = error
    refused.__cause__ = refused.__context__ = None
    raise refused


def blocked(what: str, objects: Sequence[str], said: str) -> DestinationRefused:
    """The error for something that cannot be done because of objects of others.

    `said` is the database's own message, which must not contain values.
    """
    each = list(dict.fromkeys(objects))
    names = ", ".join(f"the {name}" for name in each[:NAMED])
    names += f" and {len(each) - NAMED} more" if len(each) > NAMED else ""
    because = f", because of {names}" if names else ""
    it = "it" if len(each) == 1 else "them"
    hint = (
        f"Drop {it}, run again, and recreate {it} if the rows allow it."
        if names
        else "Somebody else may have changed the table: change it back."
    )
    return DestinationRefused(
        f"{what}{because} ({said}).",
        f"{hint} Nothing is lost meanwhile: the stream keeps its changes for 24 hours.",
    )


def not_done(target: Target, widening: NotWidened | None, dropping: bool = False) -> str:
    """A sentence about what cannot be done."""
    if widening is not None:
        return f"The column {widening.column} of {target} cannot become {widening.type_}"
    return f"The table {target} cannot be {'dropped' if dropping else 'written'}"
