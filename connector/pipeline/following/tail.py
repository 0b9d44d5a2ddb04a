"""Tail: one round after another, with a wait between them."""

from collections.abc import Callable, Sequence
from dataclasses import InitVar, dataclass, field
from types import TracebackType

from connector.config.model import TailConfig
from connector.core.state import TableState
from connector.errors import CursorMoved
from connector.events import Listener
from connector.items.routed.encoding import Encoding
from connector.pipeline.following.pace import Pace
from connector.pipeline.following.position import Visit
from connector.pipeline.following.reach import Reach
from connector.pipeline.following.round import Read, Round
from connector.pipeline.interpreter import busy
from connector.ports import Changes, Destination, Lookup
from connector.stop import Stop
from connector.waits import Waits

RIVAL_TRIES = 5
REST_SECONDS = 0.1


@dataclass
class Tail:
    """Follows the stream of one table. Use as a context manager: it owns the reading threads."""

    changes: Changes
    lookup: Lookup
    """The table itself, for changes without images."""
    destination: Destination
    since: InitVar[TableState]
    """The state to continue from."""
    encoder: InitVar[Encoding]
    config: TailConfig
    listener: InitVar[Listener]
    quarantine_limit: InitVar[int]
    stop: Stop
    waits: Waits = field(default_factory=Waits)

    def __post_init__(
        self, since: TableState, encoder: Encoding, listener: Listener, quarantine_limit: int
    ) -> None:
        self._round = Round(
            self.changes,
            self.lookup,
            self.destination,
            encoder,
            self.config,
            listener,
            quarantine_limit,
        )
        self._pace = Pace(self.config)
        self._rivals = self._commits = 0
        self.restart(since)

    def __enter__(self) -> "Tail":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._round.close()

    @property
    def state(self) -> TableState:
        """The table's state as of the last commit."""
        return self._reach.state

    @state.setter
    def state(self, state: TableState) -> None:
        self._reach.state = state

    def restart(self, state: TableState) -> None:
        """Continues from a state that another step, or another run, has written."""
        self._reach = Reach.of(self.changes, state, self.config, self.stop, self.waits)

    def loaded(self, state: TableState) -> None:
        """Continues after this run's own load."""
        self._reach.loaded(state)

    def caught_up(self) -> bool:
        """Whether every shard is read up to now."""
        return self._reach.caught_up()

    def round(self) -> bool:
        """Reads, folds and commits once; true if there were records or a shard ended."""
        read = self._read()
        self._round.await_commit(self._reach)
        return read.moved

    def until(self, finished: Callable[[], bool]) -> None:
        """Runs rounds until `finished`, which is called after each.

        Raises StreamDisabled if the stream was switched off and was read to its end.
        """
        self._rivals = 0
        while True:
            began = self.changes.now()
            try:
                with busy():
                    read = self._read()
                if not read.more:
                    self._rivals = 0
                ended = finished()
                self._check_enabled()
                if ended:
                    self._round.finish(self._reach)
            except CursorMoved as error:
                self._overtaken(error)
                continue
            if ended:
                return
            self._reach.discovery.check_complete(self._reach.cursors())
            wait = self._wait(read, (self.changes.now() - began).total_seconds())
            self._reach.discovery.await_proof(read.moved or self.caught_up(), wait)
            if self.stop.requested() or (wait > 0 and self._rest(wait, finished)):
                self._round.await_commit(self._reach)
                return

    def _read(self) -> Read:
        read = self._round.run(self._reach)
        self._rest_shards(read.visits)
        return read

    def _check_enabled(self) -> None:
        reach = self._reach
        reach.discovery.check_enabled(self.state.table, reach.cursors(), self.caught_up)

    def _rest_shards(self, visits: Sequence[Visit]) -> None:
        reach, now = self._reach, self.changes.now()
        settles, shards = reach.discovery.settles_in(now), reach.unfinished()
        for visit in visits:
            position = reach.positions.get(visit.shard.id)
            # A shard that the budget has left out is due as before.
            if position is not None and visit.begun:
                self._pace.rest(position, visit.found, reach.proven(position), settles, shards, now)

    def _overtaken(self, error: CursorMoved) -> None:
        """Continues from another run's commit, unless other runs win again and again."""
        if self._round.commits > self._commits:
            self._rivals = 0
        self._rivals, self._commits = self._rivals + 1, self._round.commits
        if self._rivals >= RIVAL_TRIES:
            raise error
        state = self.destination.read(self.state.table)
        mine = (self.state.plan_id, self.state.spec)
        if state is None or (state.plan_id, state.spec) != mine:
            raise CursorMoved(
                f"Another run has planned {self.state.table} again, or changed its settings.",
                "Run the same command again.",
            )
        self.restart(state)

    def _wait(self, read: Read, took: float) -> float:
        """Seconds until the next round is worthwhile."""
        if read.more:
            return 0.0
        if not self.caught_up():
            settles = self._reach.discovery.settles_in(self.changes.now())
            return 0.0 if read.moved else min(self._pace.proving, settles)
        if read.moved:
            return self.config.commit_seconds - took
        return self._pace.until_due(self._reach.positions.values(), self.changes.now())

    def _rest(self, seconds: float, finished: Callable[[], bool]) -> bool:
        """Waits until `finished` at the longest; true if the run was asked to end."""
        while seconds > 0 and not finished():
            if self.stop.wait(min(seconds, REST_SECONDS)):
                return True
            seconds -= REST_SECONDS
        return False
