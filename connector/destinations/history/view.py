"""The view of all versions: the present ones of the table, and those that have ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connector.core.modes.history import LAST, Op
from connector.core.names import (
    CHANGED_AT,
    COMMIT,
    DELETED,
    ENDED_BY,
    OP,
    PLACE,
    VALID_FROM,
    VALID_TO,
    VERSION,
)
from connector.destinations.sql import Target, quoted

_OPEN = "_connector_open"
_COLLATE = " COLLATE "
_OWN = (CHANGED_AT, VALID_FROM, VALID_TO, VERSION, OP, ENDED_BY, COMMIT)
"""The columns of the view that are none of an attribute."""


@dataclass(frozen=True)
class View:
    """What the view selects."""

    table: Target
    ended: Target
    keys: Sequence[str]
    types: Mapping[str, str]
    """The columns of versions that have ended, without our own, with their SQL types."""
    present: Mapping[str, str]
    """Those that the table has too: a value for each, in the type of an ended version's."""
    op: bool
    """Whether the table says how its versions began."""
    marks: bool
    """Whether rows of deleted items may be in the table."""
    live: bool = True
    """Whether versions still begin and end; if not, all have ended."""
    first: Sequence[str] = ()
    """The columns that the view must begin with, as it does already."""

    def sql(self) -> str:
        """The query."""
        own = {
            CHANGED_AT: quoted(CHANGED_AT),
            VALID_FROM: quoted(CHANGED_AT),
            VALID_TO: quoted(VALID_TO),
            VERSION: self._version,
            OP: quoted(OP),
            ENDED_BY: quoted(ENDED_BY),
            COMMIT: quoted(COMMIT),
        }
        shown = {name: quoted(name) for name in self.columns} | own
        order = [*(name for name in self.first if name in shown), *shown]
        chosen = ", ".join(f"{shown[name]} AS {quoted(name)}" for name in dict.fromkeys(order))
        return f"SELECT {chosen} FROM ({self._versions}) AS {_OPEN}"

    @property
    def columns(self) -> list[str]:
        """The columns of attributes: first those that the table has."""
        return [*self.present, *(name for name in self.types if name not in self.present)]

    @property
    def _version(self) -> str:
        keys = ", ".join(map(quoted, self.keys))
        place = f"{quoted(COMMIT)}, {quoted(PLACE)}"
        return f"row_number() OVER (PARTITION BY {keys} ORDER BY {place})"

    @property
    def _versions(self) -> str:
        names = (*self.columns, CHANGED_AT, COMMIT, OP, VALID_TO, ENDED_BY, PLACE)
        ended = f"SELECT {', '.join(map(quoted, names))} FROM {self.ended.sql}"
        if not self.live:
            return ended
        # Without its type, a null could make a column of another one.
        nothing = {name: f"CAST(NULL AS {sql})" for name, sql in self.types.items()}
        shown = nothing | dict(self.present)
        values = [f"{shown[name]} AS {quoted(name)}" for name in self.columns]
        op = f"coalesce({quoted(OP)}, '{Op.SNAPSHOT}')" if self.op else f"'{Op.SNAPSHOT}'"
        values += [
            quoted(CHANGED_AT),
            quoted(COMMIT),
            f"{op} AS {quoted(OP)}",
            f"NULL AS {quoted(VALID_TO)}",
            f"NULL AS {quoted(ENDED_BY)}",
            f"{LAST} AS {quoted(PLACE)}",
        ]
        where = f" WHERE {quoted(DELETED)} IS NOT TRUE" if self.marks else ""
        present = f"SELECT {', '.join(values)} FROM {self.table.sql}{where}"
        return f"{ended} UNION ALL {present}"


def can_begin_with(
    had: Mapping[str, str], types: Mapping[str, str], table: Mapping[str, str]
) -> bool:
    """Whether a view can replace one with these columns, which then are its first ones.

    `table` are the columns of the table that the view shows; a collation there is the view's.
    """

    def shown(name: str) -> str:
        return types.get(name, "") + "".join(table.get(name, "").partition(_COLLATE)[1:])

    return all(name in _OWN or shown(name) == sql for name, sql in had.items())
