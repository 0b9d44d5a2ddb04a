"""Sync: plan if needed, scan and tail at the same time, load, then tail until it is time to end."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from connector.config.model import Config, TableConfig
from connector.core.changes.filler import Filler
from connector.core.rules.hash_key import HashKey, hash_key
from connector.core.state import Phase, TableState
from connector.core.status import Status
from connector.errors import (
    reset_meanwhile,
    unfollowed,
    unfollowed_for_long,
)
from connector.events import Listener
from connector.items.routed.encoding import Encoding
from connector.items.ruled.ruling import Ruling
from connector.pipeline.beginning import Beginning
from connector.pipeline.following.mending import Mending
from connector.pipeline.following.tail import Tail
from connector.pipeline.load import load, recent_since
from connector.pipeline.problems import Problems
from connector.pipeline.scan import Scanning, make_encoder, make_ruling
from connector.pipeline.unread import Unread
from connector.ports import Changes, Destination, Lookup, Snapshot, Spool
from connector.stop import Stop
from connector.waits import Waits

log = logging.getLogger("connector.sync")

REST_SECONDS = 0.1


@dataclass
class Run:
    """The steps of one table over its ports."""

    table: str
    target: str
    config: Config
    table_config: TableConfig
    lookup: Lookup
    pages: Snapshot
    """All items of the table now, to compare them; a scan opens a source of its own."""
    changes: Changes | None
    """What happened to it since; None if nobody follows that."""
    destination: Destination
    spool_of: Callable[[TableState], Spool]
    start_scan: Callable[[TableState], Scanning]
    listener: Listener
    stop: Stop
    workers: int
    waits: Waits = field(default_factory=Waits)
    whole: Snapshot | None = None  # What a plan is to read, if not the table itself.
    hash_key: HashKey | None = field(default_factory=hash_key)
    """The key of its digests, of which only the environment knows."""
    filler: Filler | None = None  # What a stream no longer has, from elsewhere.

    @property
    def followed(self) -> bool:
        """Whether its changes are read, so that it need not be read whole each time."""
        return self.changes is not None

    @property
    def by_time(self) -> bool:
        """Whether nothing but the times of its changes orders them."""
        return self.changes is not None and self.changes.by_time

    def status(self, state: TableState | None) -> Status:
        """Where the table stands by its state, at the source's own time."""
        retention = self.changes.retention if self.changes else None
        return Status.of(state, self.lookup.now(), retention)

    def planned(self) -> TableState:
        """The table's state, planned first if it never was."""
        return self._begun()

    def begin(self, full_refresh: bool = False, plan_id: str | None = None) -> TableState:
        """The state to continue from: planned if it never was, and again for a full refresh.

        A refresh with a `plan_id` of its own is planned only once, however often it is requested.
        """
        with self._problems.noting():
            return self._begun(full_refresh, plan_id)

    def _begun(self, full_refresh: bool = False, plan_id: str | None = None) -> TableState:
        if full_refresh:
            self._unread.before_plan(plan_id)
        return self._beginning.state(full_refresh, plan_id)

    @property
    def _beginning(self) -> Beginning:
        return Beginning(
            self.table,
            self.target,
            self.config,
            self.table_config,
            self.lookup,
            self.whole or self.pages,
            self.changes,
            self.destination,
            self.spool_of,
            self.stop,
            self.workers,
            self.hash_key,
            self.filler,
        )

    def plan(self, replaces: TableState | None, plan_id: str | None = None) -> TableState:
        """Plans a new generation: the first, or one that replaces another."""
        return self._beginning.plan(replaces, plan_id)

    def snapshot(self, full_refresh: bool = False, yes: bool = False) -> TableState:
        """Plans, scans and loads, and reads the stream meanwhile, since a scan may outlast it.

        `yes` allows a full refresh to delete any share of the rows.
        """
        with self._problems.noting():
            return self._snapshot(full_refresh, yes)

    def _snapshot(self, full_refresh: bool, yes: bool) -> TableState:
        state = self._begun(full_refresh)
        max_deleted = None if yes else self.table_config.max_deleted
        if self.changes is None:
            return self._whole(state, max_deleted)
        if state.phase is Phase.LOADING:
            with self._tail(state) as tail:
                tail.loaded(self._load(state, max_deleted, tail))
                # Rows that the stream overtook are older than the scan until all of it is read.
                tail.until(tail.caught_up)
                self.stop.check(self.table)
                return self._problems.cleared(tail.state)
        log.info(
            "%s: has its snapshot already; --full-refresh reads the whole table again", self.table
        )
        # Nothing was written, so nothing shows that a problem is solved.
        return state

    def load(self, yes: bool = False) -> TableState:
        """Loads a scan that others have finished; if it is loaded already, only drops its spool."""
        return self._problems.noted(lambda: self._loaded(yes))

    def _loaded(self, yes: bool) -> TableState:
        state = self.destination.read(self.table)
        if state is None:
            raise reset_meanwhile(self.table, "scanned")
        if state.spec is None:
            state = self._beginning.configured(state)
        if state.phase is Phase.LOADING:
            return self._put(state, None if yes else self.table_config.max_deleted)
        self.spool_of(state).drop()
        return state

    def _whole(self, state: TableState, max_deleted: float | None) -> TableState:
        """Scans and loads a table whose changes nobody follows."""
        loaded = self._load(state, max_deleted)
        return self._problems.cleared(loaded)

    def _beside(self, tail: Tail | None) -> Callable[[Callable[[], bool]], None]:
        """What goes on beside a scan, until something holds."""
        reads = tail is not None and tail.changes.while_loading
        return tail.until if tail and reads else self._wait_until

    def _wait_until(self, finished: Callable[[], bool]) -> None:
        while not finished() and not self.stop.wait(REST_SECONDS):
            continue

    def sync(self, until: Callable[[Tail], bool], lasts: bool = False) -> TableState:
        """Brings the table up to date, from whatever state it is in.

        If history was lost and `on_gap` is resync, the whole table is read again; so is one whose
        changes nobody follows. Raises ConfigError if such a table should be followed for as long as
        the run `lasts`.
        """
        if lasts and self.changes is None:
            raise unfollowed_for_long(self.table)

        def again() -> TableState:
            state = self.snapshot(full_refresh=True)
            if self.changes is None:
                return state
            return self._problems.noted(lambda: self._sync(until))

        return self.resynced(lambda: self._problems.noted(lambda: self._sync(until)), again)

    def resynced(
        self, step: Callable[[], TableState], again: Callable[[], TableState]
    ) -> TableState:
        """Runs a step; if history was lost, `on_gap` decides: resync runs `again` afterwards.

        With repair, what was lost is filled in from exports, and the step itself runs again.
        """
        return self._mending.around(step, again, self.table_config.on_gap)

    def repair(self, until: Callable[[Tail], bool]) -> TableState:
        """Fills in what was lost from exports, and follows on; does nothing if nothing was lost.

        Raises NeedsPerson, with the commands that export what is missing, and changes nothing.
        """
        if self.changes is None:
            raise unfollowed(self.table)
        return self._mending.repaired(lambda: self._problems.noted(lambda: self._follow(until)))

    @property
    def _mending(self) -> Mending:
        ports = self.lookup, self.changes, self.filler, self.destination
        return Mending(self.table, *ports, self.stop)

    @property
    def _unread(self) -> Unread:
        ports = self.changes, self.lookup, self.destination
        return Unread(self.table, *ports, self._tail, self.stop)

    @property
    def _problems(self) -> Problems:
        return Problems(self.table, self.destination)

    def _sync(self, until: Callable[[Tail], bool]) -> TableState:
        state = self.planned()
        if self.changes is None:
            return self._whole(state, self.table_config.max_deleted)
        with self._tail(state) as tail:
            if state.phase is Phase.LOADING:
                state = self._load(state, self.table_config.max_deleted, tail)
                tail.loaded(state)
            else:
                # A run that was killed right after its load has left its spool behind.
                self.spool_of(state).drop()
            tail.until(self._ended(tail, until))
            self.stop.check(self.table)
            return tail.state

    def tail(self, until: Callable[[Tail], bool]) -> TableState:
        """Only follows the stream, in whatever phase the table is; repairs it if `on_gap` says so.

        Raises ConfigError if nobody follows it.
        """
        if self.changes is None:
            raise unfollowed(self.table)
        follow = partial(self._problems.noted, partial(self._follow, until))
        on_gap = "repair" if self.table_config.on_gap == "repair" else "fail"
        return self._mending.around(follow, follow, on_gap)

    def up_to_date(self, until: Callable[[Tail], bool]) -> TableState:
        """Follows a table that is followed; of any other, checks that it is the planned one."""
        if self.changes is not None:
            return self.tail(until)
        state = self.destination.read(self.table)
        if state is None:
            raise reset_meanwhile(self.table, "compared")
        self.lookup.confirm(state.identity)
        return state

    def _follow(self, until: Callable[[Tail], bool]) -> TableState:
        state = self.planned()
        if state.phase is Phase.LOADING:
            assert self.changes is not None
            if not self.changes.while_loading:
                log.warning("%s: is not loaded yet; its changes are read after that", self.table)
                return state
            log.warning("%s: has no snapshot yet, so only items that change arrive", self.table)
        with self._tail(state) as tail:
            tail.until(self._ended(tail, until))
            self.stop.check(self.table)
            return tail.state

    def _ended(self, tail: Tail, until: Callable[[Tail], bool]) -> Callable[[], bool]:
        """The condition `until`; checking it also clears a problem once the tail has caught up."""

        def ended() -> bool:
            if tail.state.problem and tail.caught_up():
                tail.state = self._problems.cleared(tail.state)
            return until(tail)

        return ended

    def _tail(self, state: TableState) -> Tail:
        assert self.changes is not None
        ports, limit = (self.changes, self.lookup, self.destination), self.config.quarantine.limit
        settings = self.config.tail, self.listener, limit
        return Tail(*ports, state, self.encoder(state), *settings, self.stop, self.waits)

    def encoder(self, state: TableState) -> Encoding:
        """An encoder for this table's items."""
        return make_encoder(state, self.config.destination.backend.limits, self.hash_key)

    def ruling(self, state: TableState) -> Ruling | None:
        """The rules of this table, if it has any."""
        return make_ruling(state, self.hash_key)

    def _load(
        self, state: TableState, max_deleted: float | None, tail: Tail | None = None
    ) -> TableState:
        scanning = self.start_scan(state)
        try:
            self._beside(tail)(scanning.finished)
        finally:
            scanning.stop()
        self.stop.check(self.table)
        return self._put(state, max_deleted, tail)

    def _put(
        self, state: TableState, max_deleted: float | None, tail: Tail | None = None
    ) -> TableState:
        self._unread.before_load(state, tail)
        # A scan reads the table by its name, and would not notice that another one has that name.
        self.lookup.confirm(state.identity)
        recent = recent_since(state, self.changes, self.config.source.consistent_read)
        limit, spool, to = self.config.quarantine.limit, self.spool_of(state), self.destination
        put = partial(load, now=self.lookup.now(), limit=limit, max_deleted=max_deleted)
        put(to, spool, state, self.by_time, recent=recent)
        loaded = self.destination.read(self.table)
        assert loaded is not None
        return loaded
