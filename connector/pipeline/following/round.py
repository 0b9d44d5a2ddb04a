"""One round: read every shard that is due, fold what was read, and commit it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connector.config.model import TailConfig
from connector.core.cursors import Batch, shard_partition
from connector.core.spec import TableSpec
from connector.events import Listener, Tailed
from connector.failpoints import failpoint
from connector.items.encoder import Encoder
from connector.items.fold import Counts, Fold
from connector.pipeline.columns import report_columns
from connector.pipeline.following.alarm import LagAlarm
from connector.pipeline.following.committing import Committing
from connector.pipeline.following.position import Visit
from connector.pipeline.following.reach import Reach
from connector.pipeline.following.reading import Reading
from connector.pipeline.scan import quarantine_limit
from connector.ports import Changes, Destination

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
    destination: Destination
    encoder: Encoder
    config: TailConfig
    listener: Listener
    quarantine_limit: int
    commits: int = 0
    """The number of commits made."""
    _unreported: Counts = field(default_factory=Counts)
    _committed_at: datetime | None = None

    def __post_init__(self) -> None:
        self._reading = Reading(self.changes, self.config)
        self._committing = Committing(self.destination)
        self._alarm = LagAlarm(self.changes.retention)

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
        for visit in visits:
            for page in visit.pages:
                fold.add(shard_partition(visit.shard.id), page)
            # Records that the fold does not need are freed before the rows are made.
            visit.pages.clear()
        failpoint("tail.after_fold")
        read = Read(visits, fold.counts.read)
        self._commit(reach, fold, read)
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
                    listed, reach.state.planned_at, self.changes.now(), self.changes.retention
                )
        return visits

    def _fold(self, reach: Reach) -> Fold:
        horizon = (reach.state.planned_at - self.changes.retention.overlap).timestamp()
        spec = reach.state.spec or TableSpec()
        return Fold(reach.state.identity.keys, self.encoder, spec.deletes, horizon)

    def _commit(self, reach: Reach, fold: Fold, read: Read, force: bool = False) -> None:
        """Starts the commit of a round, and waits for it unless there is more to read meanwhile."""
        # A record without a sequence number moves no cursor, but must be committed all the same.
        found, rows = len(fold) > 0, fold.rows()
        self.await_commit(reach)
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
        bad = fold.quarantined
        if bad and len(bad) + reach.state.quarantined > self.quarantine_limit:
            raise quarantine_limit(self.quarantine_limit, bad)
        self._unreported = fold.counts
        self._committing.begin(
            Batch(
                table=reach.state.table,
                generation=reach.state.generation,
                plan_id=reach.state.plan_id,
                spans=spans,
                rows=rows,
                quarantined=bad,
                consistent_since=consistent,
                forgotten=reach.forgettable(now),
                more=read.more,
                spec=reach.state.spec,
            )
        )
        if not read.more:
            self.await_commit(reach)

    def await_commit(self, reach: Reach) -> None:
        """Waits for the commit under way, if there is one, and continues from it."""
        if (finished := self._committing.wait()) is None:
            return
        batch, committed = finished
        report_columns(reach.state.table, committed)
        self.commits, self._committed_at = self.commits + 1, self.changes.now()
        reach.committed(batch, committed)
        self._report(reach, self._unreported)

    def _report(self, reach: Reach, counts: Counts) -> None:
        """Reports a round once it is committed."""
        lag = reach.lag()
        self.listener(Tailed(vars(counts), lag))
        self._alarm.check(reach.state.table, lag, self.changes.now())
