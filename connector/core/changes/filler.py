"""What fills in changes that a stream no longer has."""

from datetime import datetime
from typing import Protocol

from connector.core.cursors import Cursor
from connector.core.state import Identity


class Filler(Protocol):
    """Changes that a stream no longer has, from elsewhere; its `Changes` read them like a shard."""

    def earlier(
        self, table: Identity, since: datetime, until: datetime, *, exact: bool, about: str = ""
    ) -> tuple[str, Cursor] | None:
        """The shard that has everything from `since` on, and the cursor of its beginning.

        Nothing of its time is in the table already if it is `exact`. Raises NeedsPerson, beginning
        with `about`, if some is missing until a time; None, with an `about`, if nothing is there.
        """
