"""Every change of a round: as rows of the log, and as the versions of a history."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

import pyarrow as pa
from msgspec import Raw

from connector.core.changes.change import Change
from connector.core.cursors import Cursor
from connector.core.keys import KeySchema
from connector.core.modes.history import (
    ENDED_AT,
    ENDED_BY,
    OP,
    PLACE,
    Turn,
    Version,
    lost_turn,
    op_of,
    turn_of,
)
from connector.core.modes.log import LOG
from connector.core.rows import CHANGED_AT, ROUTE, ROUTE_BEFORE, combine, field_of, moments
from connector.core.spec import TableSpec
from connector.items import columns
from connector.items.limits import storable_keys
from connector.items.recorded.images import ImageTexts, distinct
from connector.items.routed.encoding import Encoding

Key = tuple[str, ...]

_UNFIT = "an image that is not valid, or cannot be stored"
VERSIONS_AT_ONCE = 5000

_Logged = tuple[str, Key, Change]
_Placed = tuple[str, Change]
"""A change with its partition."""

Refuse = Callable[[str, Change, Key, str], None]
"""Quarantines a change of a partition, for a reason."""


@dataclass(frozen=True)
class Recorded:
    """What a round kept of all of its changes; see `Batch`."""

    versions: pa.Table | None = None
    log: pa.Table | None = None


def tokens_of(cursors: Mapping[str, Cursor], prefix: str) -> dict[str, int | float]:
    """The last version that was read of each partition, whose name is its shard's after a prefix.

    Nothing of a shard that was read to its end is new.
    """
    return {
        prefix + shard: inf if cursor.token is None or cursor.done else int(cursor.token)
        for shard, cursor in cursors.items()
        if cursor.done or cursor.token is not None
    }


@dataclass
class Recording:
    """What a round keeps of its changes besides the newest row of each key."""

    keys: KeySchema
    encoder: Encoding
    images: ImageTexts
    spec: TableSpec
    earlier: Mapping[str, int | float] = field(default_factory=dict)
    """The last version of each partition that an earlier generation has read."""
    since: float = -inf
    """Seconds since 1970. What was changed before was read in another Region, as other records."""
    filled: bool = False
    """Whether the changes are of what a stream has lost: only the last of an item is known."""
    places: Callable[[Sequence[bytes]], list[int]] | None = None
    """Where items go, if there are several targets."""
    _logged: list[tuple[str, Sequence[Key], Sequence[Change]]] = field(default_factory=list)
    _followed: dict[Key, list[_Placed]] = field(default_factory=dict)
    """All changes of the keys that had more than one."""

    def may_know(self, partition: str, changes: Sequence[Change]) -> bool:
        """Whether one of the changes, which are in order, may be known."""
        if not changes:
            return False
        return changes[0].at < self.since or self._known(partition, changes[0])

    def _known(self, partition: str, change: Change) -> bool:
        """Whether an earlier generation has read a change, and so has kept it."""
        return change.version <= self.earlier.get(partition, -1)

    def add(self, partition: str, keys: Sequence[Key], changes: Sequence[Change]) -> None:
        """Keeps changes that are new and without a flaw for the log."""
        if self.spec.changes and not self.filled:
            self._logged.append((partition, keys, changes))

    def add_one(self, partition: str, key: Key, change: Change) -> bool:
        """Keeps a change for the log; returns whether it also matters to the table.

        One that an earlier generation has read is kept already; where there is a history, the table
        has it as well.
        """
        if self._known(partition, change):
            return not self.spec.history
        # Nothing says what a flawed change did.
        if not change.flaw and change.at >= self.since:
            self.add(partition, [key], [change])
        return True

    def follow(self, key: Key, before: _Placed, after: _Placed) -> None:
        """Keeps a change of the history that another one follows."""
        if self.spec.history and not self.filled:
            self._followed.setdefault(key, [before]).append(after)

    def turn(self, key: Key, change: Change) -> Turn:
        """What the changes of a key did to it, of which this is the newest."""
        if self.filled:
            return lost_turn(change)
        changes = self._followed.get(key)
        return turn_of([each for _, each in changes] if changes else [change])

    def done(self, refuse: Refuse) -> Recorded:
        """Removes and returns everything that was kept, once the rows were made."""
        return Recorded(self._versions(refuse), self._log(refuse))

    def _versions(self, refuse: Refuse) -> pa.Table | None:
        """The versions that began and ended in the round."""
        found = list(self._between())
        self._followed = {}
        tables = [
            self._encoded(found[first : first + VERSIONS_AT_ONCE], refuse)
            for first in range(0, len(found), VERSIONS_AT_ONCE)
        ]
        return combine(tables) if tables else None

    def _between(self) -> Iterator[tuple[str, Key, Version]]:
        for key, changes in self._followed.items():
            partitions = {id(change): partition for partition, change in changes}
            for version in turn_of([change for _, change in changes]).between:
                yield partitions[id(version.change)], key, version

    def _encoded(self, found: Sequence[tuple[str, Key, Version]], refuse: Refuse) -> pa.Table:
        encoded = self.encoder.encode([bytes(v.change.image or b"") for _, _, v in found])
        bad = {each.index: each.reason for each in encoded.bad}
        for index, reason in bad.items():
            partition, key, version = found[index]
            refuse(partition, version.change, key, reason)
        versions = [version for index, (_, _, version) in enumerate(found) if index not in bad]
        rows = encoded.rows
        for column, values in (
            (CHANGED_AT, moments([each.begins for each in versions])),
            (OP, [each.op.value for each in versions]),
            (ENDED_AT, moments([each.ends for each in versions])),
            (ENDED_BY, [each.ended_by.value for each in versions]),
            (PLACE, [each.place for each in versions]),
        ):
            array = values if isinstance(values, pa.Array) else pa.array(values, column.type)
            rows = rows.append_column(column, array)
        return rows

    def _log(self, refuse: Refuse) -> pa.Table | None:
        """The rows of the log.

        An image that is not valid is null, and its change is refused if it is the newer one.
        """
        logged = [
            (partition, key, change)
            for partition, keys, changes in self._logged
            for key, change in zip(keys, changes, strict=True)
        ]
        self._logged = []
        if not logged:
            return None
        logged = self._storable(logged)
        changes = [change for _, _, change in logged]
        images = [change.image for change in changes]
        before, after = self._texts([change.before for change in changes], images)
        if after.null_count > images.count(None):
            for (partition, key, change), text in zip(logged, after, strict=True):
                if change.image is not None and not text.is_valid:
                    refuse(partition, change, key, _UNFIT)
        deletes = [image is None for image in images]
        made = [
            [op_of(change, gone).value for change, gone in zip(changes, deletes, strict=True)],
            [gone and change.expired for change, gone in zip(changes, deletes, strict=True)],
            moments([change.at for change in changes]),
            [change.token for change in changes],
            [partition for partition, _, _ in logged],
            before,
            after,
        ]
        rows = self._key_columns(self._of_rows(logged))
        for column, values in zip(LOG, made, strict=True):
            array = values if isinstance(values, pa.Array) else pa.array(values, column.type)
            rows = rows.append_column(column, array)
        return self._routed(rows, changes)

    def _routed(self, rows: pa.Table, changes: Sequence[Change]) -> pa.Table:
        """The rows of the log, with where each item was and where it is, if that can differ."""
        sides = [
            (ROUTE, [change.image for change in changes]),
            (ROUTE_BEFORE, [change.before for change in changes]),
        ]
        for column, images in sides:
            if self.places is None:
                return rows
            left = iter(self.places([bytes(each) for each in images if each is not None]))
            places = [None if each is None else next(left) for each in images]
            rows = rows.append_column(column, pa.array(places, column.type))
        return rows

    def _storable(self, logged: Sequence[_Logged]) -> list[_Logged]:
        """Without changes whose key the destination cannot hold; these are quarantined anyway."""
        keys = storable_keys(self.encoder.limits, self._row_keys, self._of_rows(logged))
        return [each for each, storable in zip(logged, keys, strict=True) if storable]

    @property
    def _row_keys(self) -> KeySchema:
        return self.encoder.ruling.row_keys if self.encoder.ruling else self.keys

    def _of_rows(self, logged: Sequence[_Logged]) -> list[Key]:
        """The keys as rows have them."""
        ruling = self.encoder.ruling
        return [ruling.key(key) if ruling else key for _, key, _ in logged]

    def _key_columns(self, keys: Sequence[Key]) -> pa.Table:
        made = [
            columns.of_one_tag(attribute.tag, [key[part] for key in keys])
            for part, attribute in enumerate(self._row_keys)
        ]
        named = zip(self._row_keys, made, strict=True)
        fields = [field_of(attribute.name, type_) for attribute, (type_, _) in named]
        return pa.Table.from_arrays([array for _, array in made], schema=pa.schema(fields))

    def _texts(
        self, before: Sequence[Raw | None], after: Sequence[Raw | None]
    ) -> tuple[pa.Array, pa.Array]:
        """The texts of the images before and after each change."""
        raws = [None if image is None else bytes(image) for image in (*before, *after)]
        # The image after one change of an item is the one before the next.
        images, places = distinct(raws)
        texts = self.images.texts(images).take(pa.array(places, pa.int64())).cast(pa.json_())
        return texts[: len(before)], texts[len(before) :]


def turned(
    recording: Recording | None, rows: pa.Table, newest: Sequence[tuple[Key, _Placed]]
) -> tuple[pa.Table, pa.Array]:
    """Rows of the newest changes, with how their versions began where a history is kept; times."""
    if recording is None or not recording.spec.history:
        return rows, moments([change.at for _, (_, change) in newest])
    turns = [recording.turn(key, change) for key, (_, change) in newest]
    for column, array in (
        (OP, pa.array([turn.op for turn in turns], OP.type)),
        (ENDED_AT, moments([turn.ended_at for turn in turns])),
        (ENDED_BY, pa.array([turn.ended_by for turn in turns], ENDED_BY.type)),
    ):
        rows = rows.append_column(column, array)
    return rows, moments([turn.at for turn in turns])
