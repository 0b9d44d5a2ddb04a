"""What stands in the way of a write, named: the table, the column and the objects of others."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from connector.destinations.sql import Target
from connector.errors import ConnectorError, DestinationRefused, QueryFailed

NAMED = 5

Result = TypeVar("Result")


class NotWidened(Exception):
    """A column did not become another type; its cause says why."""

    def __init__(self, column: str, type_: str) -> None:
        super().__init__(column, type_)
        self.column = column
        self.type_ = type_


Explain = Callable[[Exception, NotWidened | None], ConnectorError | None]
"""A better error for a cause; None if that says it all."""


@contextmanager
def explained(explain: Explain) -> Iterator[None]:
    """Lets `explain` say what was in the way of a block that failed."""
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
    # Outside of the handlers: what a database says may hold values.
    raise explain(cause, widening) or cause


def forgetting(work: Callable[[], Result]) -> Result:
    """The result of `work`; a refusal forgets what it was made of, as that may hold values."""
    try:
        return work()
    except (DestinationRefused, QueryFailed) as error:
        refused: ConnectorError = error
    refused.__cause__ = refused.__context__ = None
    raise refused


def blocked(what: str, objects: Sequence[str], said: str) -> DestinationRefused:
    """The error for `what` cannot be done because of objects of others.

    `said` is what the database says of it; no value may be in it.
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
    """What cannot be done."""
    if widening is not None:
        return f"The column {widening.column} of {target} cannot become {widening.type_}"
    return f"The table {target} cannot be {'dropped' if dropping else 'written'}"
