"""One round: read every shard that is due, fold what was read, and commit it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from connector.config.model import TailConfig
from connector.core.changes.change import Unnamed
from connector.core.changes.times import Tied
from connector.core.cursors import SHARD, Batch, Span, shard_partition
from connector.core.rows import SETTLED
from connector.core.spec import TableSpec
from connector.events import Listener, Tailed
from connector.failpoints import failpoint
from connector.items.by_time.fold import TimedFold
from connector.items.fold import Counts, Fold
from connector.items.recorded.images import ImageTexts
from connector.items.recorded.recording import Recorded, Recording, tokens_of
from connector.items.routed.encoder import RoutedEncoder
from connector.items.routed.encoding import Encoding
from connector.pipeline.columns import report_columns, report_misfits
from connector.pipeline.following.alarm import LagAlarm
from connector.pipeline.following.committing import Committing
from connector.pipeline.following.position import Visit
from connector.pipeline.following.reach import Reach
from connector.pipeline.following.reading import Reading
from connector.pipeline.following.unnamed import Portion, UnnamedRows
from connector.pipeline.scan import check_quarantine
from connector.ports import Changes, Destination, Lookup

HEARTBEAT = timedelta(seconds=60)


@dataclass(frozen=True)
class Read:
    """What a round has read: the visit of each shard, and the number of records."""

    visits: Sequence[Visit] = ()
    records: int = 0

    @property
    def moved(self) -> bool:
        """Whether there were records or a shard ended."""
        return any(visit.cursor.done for visit in self.visits) or self.records > 0

    @property
    def more(self) -> bool:
        """Whether there is more to read immediately."""
        return any(v.more for v in self.visits) and any(v.found for v in self.visits)


@dataclass
class Round:
    """Reads, folds and commits; owns the reading threads and the thread that commits."""

    changes: Changes
    lookup: Lookup
    destination: Destination
    encoder: Encoding
    config: TailConfig
    listener: Listener
    quarantine_limit: int
    commits: int = 0
    """The number of commits made."""
    _images: ImageTexts | None = None
    _unreported: Counts | None = None
    _told: set[str] = field(default_factory=set)
    """Columns whose values that do not fit were reported."""
    _committed_at: datetime | None = None
    _overtaken: list[int] = field(default_factory=lambda: [0, 0])
    """How many rows lost to newer ones in commits that are not reported yet, and how many of them
    were only quarantined."""

    def __post_init__(self) -> None:
        self._reading = Reading(self.changes, self.config)
        self._committing = Committing(self.destination)
        self._alarm = LagAlarm()

    def close(self) -> None:
        """Ends the reading, and waits for the commit under way."""
        self._reading.close()
        self._committing.close()

    def run(self, reach: Reach) -> Read:
        """Reads, folds and commits; if there is more to read, the commit may still be under way."""
        reach.discover()
        visits = self._read(reach)
        failpoint("tail.after_read")
        fold = self._fold(reach)
        unnamed: Unnamed | None = None
        checkpoint = False
        for visit in visits:
            for page in visit.pages:
                unnamed, checkpoint = page.unnamed or unnamed, checkpoint or page.checkpoint
                fold.add(shard_partition(visit.shard.id), page)
            # Records that the fold does not need are freed before the rows are made.
            visit.pages.clear()
        failpoint("tail.after_fold")
        read = Read(visits, fold.counts.read)
        self._commit(reach, fold, read, unnamed=unnamed)
        if checkpoint:
            self.await_commit(reach)
        return read

    def finish(self, reach: Reach) -> None:
        """Commits how far the shards were read, even if nothing new was there, and waits for it."""
        self._commit(reach, self._fold(reach), Read(), force=True)

    def _read(self, reach: Reach) -> Sequence[Visit]:
        visits = self._reading.visits(reach.discovery.listing, reach.positions, reach.began)
        for visit in visits:
            if visit.missing:
                listed = reach.discovery.listing.shards.get(visit.shard.id)
                visit.judge_missing(
                    listed, reach.filled_until, self.changes.now(), self.changes.retention
                )
        return visits

    def _fold(self, reach: Reach) -> Fold:
        horizon = (reach.state.planned_at - self.changes.retention.overlap).timestamp()
        keys, spec = reach.state.identity.keys, reach.state.spec or TableSpec()
        if spec.history:
            # Rows have them already, and would get their versions once more.
            horizon = max(horizon, reach.moved_since)
        if self.changes.by_time:
            planned = reach.state.planned_at.timestamp()
            return TimedFold(keys, self.encoder, spec.deletes, horizon, planned=planned)
        return Fold(keys, self.encoder, spec.deletes, horizon, self._recording(reach, spec))

    def _recording(self, reach: Reach, spec: TableSpec) -> Recording | None:
        """What keeps every change, if that is asked for."""
        if not spec.recorded:
            return None
        keys, encoder = reach.state.identity.keys, self.encoder
        self._images = self._images or ImageTexts(keys, encoder.limits, encoder.ruling)
        known = tokens_of(reach.state.earlier, SHARD)
        since, filled = reach.moved_since, reach.filling
        places = encoder.places if isinstance(encoder, RoutedEncoder) else None
        return Recording(keys, encoder, self._images, spec, known, since, filled, places)

    def _commit(
        self,
        reach: Reach,
        fold: Fold,
        read: Read,
        force: bool = False,
        unnamed: Unnamed | None = None,
    ) -> None:
        """Starts the commit of a round, and waits for it unless there is more to read meanwhile.

        A merge by time is waited for, since items may have to be read first.
        """
        while True:
            try:
                self._try_commit(reach, fold, read, force, unnamed)
                if isinstance(fold, TimedFold):
                    self.await_commit(reach)
                return
            except Tied as tied:
                if not isinstance(fold, TimedFold) or not fold.doubt(tied.keys):
                    raise

    def _try_commit(
        self, reach: Reach, fold: Fold, read: Read, force: bool, unnamed: Unnamed | None
    ) -> None:
        # A record without a sequence number moves no cursor, but must be committed all the same.
        found, portions = len(fold) > 0, self._portions(reach, fold)
        if unnamed is not None:
            # Rows of the commit under way may be among those that are looked up.
            self.await_commit(reach)
            portions = chain(self._looking(reach).portions(unnamed), portions)
        portion = next(portions)
        self.await_commit(reach)
        for following in portions:
            # Cursors move with the last portion; until then, they only must be where they were.
            self._begin(reach, portion, reach.standing(read.visits))
            self.await_commit(reach)
            portion = following
        for visit in read.visits:
            visit.move(reach.positions[visit.shard.id])
        now = self.changes.now()
        consistent = now if reach.consistent() else None
        spans = reach.spans(every=consistent is not None)
        news = found or any(span.since != span.until for span in spans)
        resting = self._committed_at is not None and now - self._committed_at < HEARTBEAT
        if not (spans or news) or (not news and not consistent and resting and not force):
            self._report(reach, fold.counts)
            return
        self._unreported = fold.counts
        self._begin(reach, portion, spans, consistent, reach.forgettable(now), read.more)
        if not read.more:
            self.await_commit(reach)

    def _portions(self, reach: Reach, fold: Fold) -> Iterator[Portion]:
        """The rows of a round, at least once, and what could not be stored of them.

        Rows of changes without images come in portions: their items are looked up, and all of them
        need not fit in memory. So do those of changes that time does not order.
        """
        if isinstance(fold, TimedFold):
            portions = fold.portions(self.lookup.items)
        elif self.changes.images:
            rows, recorded = fold.rows(), fold.recorded()
            yield rows, fold.quarantined, recorded
            return
        else:
            portions = fold.looked_up(self.lookup.items)
        for rows in portions:
            if len(rows) and _looked_up(rows):
                # Items are read by the table's name. If it is the planned one now, it was so then:
                # a table that is deleted does not come back.
                self.lookup.confirm(reach.state.identity)
                failpoint("tail.after_look_up")
            bad, fold.quarantined = fold.quarantined, []
            yield rows, bad, Recorded()

    def _looking(self, reach: Reach) -> UnnamedRows:
        ruling, fold = self.encoder.ruling, self._fold(reach)
        hashed = bool(ruling and ruling.hashed_keys)
        return UnnamedRows(reach.state, self.destination, self.lookup, fold, hashed)

    def _begin(
        self,
        reach: Reach,
        portion: Portion,
        spans: Sequence[Span],
        consistent: datetime | None = None,
        forgotten: Sequence[str] = (),
        more: bool = True,
    ) -> None:
        rows, bad, recorded = portion
        state, retention = reach.state, self.changes.retention
        check_quarantine(self.quarantine_limit, bad, state.quarantined)
        self._committing.begin(
            Batch(
                table=state.table,
                generation=state.generation,
                plan_id=state.plan_id,
                spans=spans,
                rows=rows,
                quarantined=bad,
                consistent_since=consistent,
                forgotten=forgotten,
                more=more,
                spec=state.spec,
                retention=retention.lasts if retention.varies else None,
                unburied=reach.unburied() if self.changes.by_time else None,
                buries=self.changes.by_time,
                versions=recorded.versions,
                log=recorded.log,
            )
        )

    def await_commit(self, reach: Reach) -> None:
        """Waits for the commit under way, if there is one, and continues from it."""
        if (finished := self._committing.wait()) is None:
            return
        batch, committed = finished
        report_columns(reach.state.table, committed)
        contract = (reach.state.spec or TableSpec()).contract
        report_misfits(reach.state.table, committed, contract, self._told)
        self.commits, self._committed_at = self.commits + 1, self.changes.now()
        reach.committed(batch, committed)
        lost = len(batch.quarantined) - committed.quarantined
        self._overtaken = [self._overtaken[0] + committed.superseded, self._overtaken[1] + lost]
        counts, self._unreported = self._unreported, None
        if counts is not None:
            (superseded, lost), self._overtaken = self._overtaken, [0, 0]
            counts.superseded += superseded
            counts.quarantined -= lost
            counts.applied -= superseded - lost
            self._report(reach, counts)

    def _report(self, reach: Reach, counts: Counts) -> None:
        """Reports a round once it is committed."""
        lag = reach.lag()
        self.listener(Tailed(vars(counts), lag))
        if not reach.filling and lag is not None:
            # What is filled in is older than the stream reaches, and nothing of it is lost.
            now = self.changes.now()
            unread = min(lag, (now - reach.filled_until).total_seconds())
            self._alarm.check(reach.state.table, unread, now, self.changes.retention)


def _looked_up(rows: pa.Table) -> bool:
    """Whether any of the rows is of an item that was read by its key."""
    if SETTLED.name not in rows.column_names:
        return True
    return bool(pc.any(rows.column(SETTLED.name)).as_py())
