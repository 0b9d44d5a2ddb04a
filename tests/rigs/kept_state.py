"""The tables of a state in Postgres that stay from one test to the next, empty.

To make them takes longer than most of what a test does with them. They stay only as long as no
test has changed more of them than their rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connector.core.state import STATE_VERSION
from connector.destinations.backend import DestinationUrl
from connector.destinations.postgres.server import PostgresDestination
from connector.destinations.state.store import State
from connector.destinations.state.tables import SCHEMA, names_of

ByHand = Callable[..., list[tuple[Any, ...]]]

_AT_MOST = 50
"""How often they are emptied: rows that were deleted stay in the files for a while."""

_OF_THEM = f"JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = '{SCHEMA}'"
_SHAPE = f"""
SELECT string_agg(part, ' ' ORDER BY part) FROM (
    SELECT concat_ws('/', c.oid, c.relname, c.relkind, c.relowner, c.relacl, c.relnatts,
        c.relchecks, c.relhasrules, c.relhastriggers, c.relrowsecurity, c.reloptions,
        n.nspowner, n.nspacl) AS part
    FROM pg_class c {_OF_THEM}
    UNION ALL
    SELECT concat_ws('/', a.attrelid, a.attname, a.atttypid, a.attnotnull, a.atthasdef, a.attacl)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid {_OF_THEM} AND a.attnum > 0
) AS parts
"""
_EMPTIED = sorted(names_of(STATE_VERSION) - {"migrations"})
_EMPTY = "; ".join(f"DELETE FROM {SCHEMA}.{name}" for name in _EMPTIED)


@dataclass
class KeptState:
    """A state that was made for no test, and everything about its tables but their rows."""

    shape: str
    times: int = 0

    @classmethod
    def made(cls, url: DestinationUrl, by_hand: ByHand) -> "KeptState":
        """Makes it, as the program does, in a database without."""
        with PostgresDestination(url).database.begin() as transaction:
            State(transaction.schema).create()
            transaction.commit()
        return cls(_shape(by_hand))

    def is_as_made(self, by_hand: ByHand) -> bool:
        """Whether it can stay."""
        if self.times == _AT_MOST or _shape(by_hand) != self.shape:
            return False
        return by_hand(f"SELECT version FROM {SCHEMA}.migrations") == [(STATE_VERSION,)]

    def empty(self, by_hand: ByHand) -> None:
        """Deletes what a test has left."""
        by_hand(f"DO $$BEGIN {_EMPTY}; END$$")
        self.times += 1


def _shape(by_hand: ByHand) -> str:
    ((shape,),) = by_hand(_SHAPE)
    return str(shape)
