"""Looks up rows that a source may have left out of its changes, although they changed."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa
from msgspec import Raw

from connector.core.changes.change import ChangePage, Touched, Unnamed
from connector.core.cursors import Quarantined
from connector.core.state import TableState
from connector.errors import HistoryLost
from connector.failpoints import failpoint
from connector.items.fold import KEYS_AT_ONCE, Fold
from connector.items.keys import key_item
from connector.items.recorded.recording import Recorded
from connector.ports import Destination, Lookup

Portion = tuple[pa.Table, Sequence[Quarantined], Recorded]
"""Rows of one commit, what could not be stored of them, and what is kept of all changes."""

PARTITION = "look-up"
"""What the quarantine says of items that were looked up and could not be stored."""


@dataclass(frozen=True)
class UnnamedRows:
    """The rows of one table that are looked up before the changes of a period are applied."""

    state: TableState
    destination: Destination
    lookup: Lookup
    fold: Fold
    hashed: bool = False
    """Whether the keys of rows are digests, by which no item can be looked up."""

    def portions(self, unnamed: Unnamed) -> Iterator[Portion]:
        """What to write, in commits of their own; nothing if no such row is there.

        A row that a change has written is replaced by its item as it is now, and counts as changed
        now. A scanned row may be as old as its item: it only goes if its item is gone.
        """
        found = self._found(unnamed)
        for at in range(0, len(found), KEYS_AT_ONCE):
            part = found[at : at + KEYS_AT_ONCE]
            keys = [self._key(key) for key, _ in part]
            items = self.lookup.items(keys)
            # As in a tail: items are read by the table's name.
            self.lookup.confirm(self.state.identity)
            failpoint("tail.after_look_up")
            now = self.lookup.now()
            touched = [
                _touched(key, item, now.timestamp())
                for key, item, (_, scanned) in zip(keys, items, part, strict=True)
                if item is None or not scanned
            ]
            self.fold.add(PARTITION, ChangePage(touched, None, now))
            bad = self.fold.quarantined
            rows, self.fold.quarantined = self.fold.rows(), []
            yield rows, bad, Recorded()

    def _found(self, unnamed: Unnamed) -> list[tuple[str, bool]]:
        """The keys to look up, and whether the row is as the scan has found it."""
        state, found = self.state, list[tuple[str, bool]]()
        scanned_until = state.scanned_until if state.origin is None else None
        rows = self.destination.changed_since(
            state.table, unnamed.since, scanned_until or unnamed.since
        )
        with closing(rows):
            for key, scanned in rows:
                found.append((key, scanned))
        if found and self.hashed:
            raise HistoryLost(
                f"The key of {state.table} is hashed, so rows that changed since "
                f"{unnamed.since.isoformat(timespec='seconds')} and that exports may leave out "
                "cannot be looked up.",
                f"Run `connector snapshot {state.table} --full-refresh`.",
            )
        named = unnamed.named([key for key, _ in found]) if found else []
        return [each for each, is_named in zip(found, named, strict=True) if not is_named]

    def _key(self, text: str) -> bytes:
        return key_item(self.state.identity.keys, text)


def _touched(key: bytes, item: bytes | None, at: float) -> Touched:
    if item is None:
        # It may have expired, and nothing says that it has not.
        return Touched(Raw(key), at, None, expired=True)
    return Touched(Raw(key), at, Raw(item), raw=item.decode(errors="backslashreplace"))
