"""Scans one segment into the spool, from the end of its chain."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from connector.core.cursors import Cursor, Quarantined, segment_partition
from connector.core.rows import CHANGED_AT, combine, with_service
from connector.core.rules.hash_key import HashKey
from connector.core.spec import EVERYTHING, Limits, TableSpec
from connector.core.state import Scannable
from connector.core.words import counted, first_few
from connector.errors import BadAnswer, QuarantineLimit
from connector.events import Listener, Scanned
from connector.failpoints import failpoint
from connector.items.contracted.judging import Judge
from connector.items.encoder import Encoded, Encoder
from connector.items.routed.encoder import RoutedEncoder
from connector.items.routed.encoding import Encoding
from connector.items.ruled.ruling import Ruling
from connector.ports import Snapshot, Spool
from connector.stop import MACHINE, Clock

if TYPE_CHECKING:
    from connector.core.rules.sealing import Seal

LINK_ROWS = 50_000
LINK_BYTES = 32 * 1024**2
LINK_SECONDS = 30.0
_REASONS = 3


@dataclass
class _Pending:
    """Pages that are not in the spool yet."""

    since: str | None
    clock: Clock
    tables: list[pa.Table] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    rows: int = 0
    size: int = 0

    def __post_init__(self) -> None:
        self._started = self.clock.monotonic()

    def full(self) -> bool:
        return (
            self.rows >= LINK_ROWS
            or self.size >= LINK_BYTES
            or self.clock.monotonic() - self._started >= LINK_SECONDS
        )


@dataclass
class SegmentScan:
    """Scans single segments. Safe to kill and to run twice; uses only snapshot and spool."""

    snapshot: Snapshot
    spool: Spool
    state: Scannable
    encoder: Encoding
    listener: Listener
    quarantine_limit: int
    stopped: Callable[[], bool] = lambda: False
    clock: Clock = MACHINE
    seal: "Seal | None" = None
    """Closes the positions in the spool, if the keys of items must not be read there."""

    def spooled(self, number: int) -> int:
        """The number of rows of a segment that earlier tries have spooled."""
        partition = segment_partition(number, self.state.segments)
        return sum(link.count for link in self.spool.links(partition))

    def run(self, number: int) -> bool:
        """Scans until the segment ends; False if it was stopped before that."""
        total = self.state.segments
        partition = segment_partition(number, total)
        position = self.spool.position(partition)
        if position.done:
            self.listener(Scanned(number, 0, 0, True))
            return True
        pending = _Pending(position.token, self.clock)
        token = position.token
        if self.seal and token is not None:
            token = self.seal.open(token)
        while not self.stopped():
            size = 0

            def decode(body: bytes) -> tuple[Encoded, str | None]:
                nonlocal size
                size = len(body)
                return self.encoder.encode_page(body)

            (encoded, following), asked_at = self.snapshot.page(number, total, token, decode)
            failpoint("scan.after_page")
            if following is not None and following == token:
                raise BadAnswer("Scan returned the same position that it was given.", "Run again.")
            token = following
            self._take(pending, partition, encoded, asked_at, size)
            self.listener(Scanned(number, len(encoded.rows), size, token is None))
            if token is None or pending.full():
                pending = _Pending(self._link(partition, pending, token), self.clock)
            if token is None:
                return True
        if pending.tables:
            self._link(partition, pending, token)
        return False

    def _take(
        self, pending: _Pending, partition: str, encoded: Encoded, asked_at: object, size: int
    ) -> None:
        times = pa.repeat(pa.scalar(asked_at, CHANGED_AT.type), len(encoded.rows))
        pending.tables.append(with_service(encoded.rows, times))
        pending.quarantined += [
            Quarantined(partition, bad.reason, bad.raw.decode(errors="backslashreplace"), bad.key)
            for bad in encoded.bad
        ]
        check_quarantine(self.quarantine_limit, pending.quarantined)
        pending.rows += len(encoded.rows)
        pending.size += size

    def _link(self, partition: str, pending: _Pending, token: str | None) -> str | None:
        """Spools what is pending, up to a position; returns this position as the spool has it."""
        stored = self.seal.close(token) if self.seal and token is not None else token
        until = Cursor(stored, done=token is None)
        rows = combine(pending.tables)
        self.spool.append(partition, pending.since, until, rows, pending.quarantined)
        return stored


def make_encoder(
    state: Scannable, limits: Limits = EVERYTHING, key: HashKey | None = None
) -> Encoding:
    """An encoder for the items of a table, as its generation was planned.

    `limits` are the destination's; items that exceed them are quarantined. `key` is that of the
    table's digests. Raises ConfigError without it.
    """
    spec, keys = state.spec or TableSpec(), state.identity.keys
    ruling = make_ruling(state, key)

    def one(known: Collection[str], judge: Judge | None) -> Encoder:
        return Encoder(keys, spec.max_columns, spec.packed, limits, known, ruling, judge)

    if not spec.routes:
        return one(state.columns, make_judge(state))
    targets = spec.routes.targets
    encoders = [one(state.parts.get(target, {}), make_judge(state)) for target in targets]
    return RoutedEncoder(keys, spec.routes, encoders, skipped=one((), None))


def make_judge(state: Scannable) -> Judge | None:
    """Holds rows against a table's contract; None if nothing is declared."""
    spec, keys = state.spec or TableSpec(), state.identity.keys
    if not spec.contract.judged:
        return None
    return Judge(spec.contract, state.table, spec.rules.row_keys(keys))


def make_ruling(state: Scannable, key: HashKey | None) -> Ruling | None:
    """The rules of a table, as its generation was planned; None if it has none.

    Raises ConfigError without the key that its digests were made with.
    """
    rules = (state.spec or TableSpec()).rules
    return Ruling(rules, state.identity.keys, key, state.table) if rules else None


def check_quarantine(limit: int, quarantined: Sequence[Quarantined], before: int = 0) -> None:
    """Raises QuarantineLimit, with the reasons for the new ones, if they are more than allowed.

    `before` is the number of earlier ones. A batch without bad records is never stopped.
    """
    if not quarantined or len(quarantined) + before <= limit:
        return
    reasons = Counter(record.reason for record in quarantined).most_common()
    each = first_few([f"{why} ({count:,})" for why, count in reasons], _REASONS, "more reasons")
    raise QuarantineLimit(
        f"More than {counted(limit, 'record')} could not be stored: {'; '.join(each)}.",
        "Nothing of this batch was written. Raise `quarantine.limit` so that they go to "
        "`_connector.quarantine`, which shows the reason for each; then fix the items at the "
        "source.",
    )


class Scanning(Protocol):
    """The scan of all segments, running beside the tail."""

    def finished(self) -> bool:
        """Whether every segment is done. Raises the error of a worker that failed."""
        ...

    def stop(self) -> None:
        """Ends the workers; the rows they have spooled stay."""
        ...
