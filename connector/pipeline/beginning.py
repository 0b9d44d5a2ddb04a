"""The beginning of a run: the state to continue from, or a new generation if that is needed."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from connector.config.model import Config, TableConfig
from connector.core.changes.filler import Filler
from connector.core.rules.hash_key import SHORT, VARIABLE, HashKey, no_key
from connector.core.spec import TableSpec, check_follow, no_images
from connector.core.state import Phase, TableState, renamed
from connector.core.words import counted
from connector.errors import ConfigError, switched_off, was_switched_off
from connector.pipeline.columns import report_renamed, report_settings
from connector.pipeline.plan import plan
from connector.ports import Changes, Destination, Lookup, Snapshot, Spool
from connector.stop import Stop

log = logging.getLogger("connector.sync")


@dataclass(frozen=True)
class Beginning:
    """Where the runs of one table begin."""

    table: str
    target: str
    config: Config
    table_config: TableConfig
    lookup: Lookup
    snapshot: Snapshot
    changes: Changes | None
    destination: Destination
    spool_of: Callable[[TableState], Spool]
    stop: Stop
    workers: int
    hash_key: HashKey | None = None
    filler: Filler | None = None

    @property
    def spec(self) -> TableSpec:
        """The configured spec, with the present hash key. Raises ConfigError if that is missing."""
        spec = self.table_config.spec()
        if spec.rules.hashes and self.hash_key is None:
            raise no_key(self.table)
        return replace(spec, rules=spec.rules.keyed(self.hash_key))

    def state(self, full_refresh: bool = False, plan_id: str | None = None) -> TableState:
        """The state to continue from: planned if it never was, and again for a full refresh.

        So is one whose changes nobody follows. A `plan_id` is planned only once, however often it
        is requested.
        """
        self._check_images()
        spec = self.spec
        state = self.destination.read(self.table)
        if state is None:
            return self.plan(None, plan_id)
        if state.plan_id != plan_id and (full_refresh or self._stale(state)):
            self.spool_of(state).drop()
            return self.plan(state, plan_id)
        if self.changes is not None and self.changes.by_time and was_switched_off(state.problem):
            # Once it is switched on again, nothing but this note shows that changes are missing.
            raise switched_off(self.table)
        check_follow(self.table, state.spec or TableSpec(), spec)
        self.lookup.confirm(state.identity)
        state = self.configured(state)
        if state.phase is Phase.LOADING:
            self.snapshot.resume(state.origin)
        self._tell_segments(state)
        return state

    def _check_images(self) -> None:
        """Raises ConfigError if every change counts, but the stream has no items after them."""
        spec = self.table_config.spec()
        if not spec.recorded or self.changes is None or self.changes.images:
            return
        raise no_images(self.table, spec)

    def _check_view(self, spec: TableSpec, view_type: str) -> None:
        """Raises ConfigError if a log must say where items were, and the stream does not."""
        if spec.routes and spec.changes and view_type != "NEW_AND_OLD_IMAGES":
            raise ConfigError(
                f"{self.table}: changes with routes needs each item as it was before each change, "
                "which its stream does not have.",
                "Give it a stream of the view type NEW_AND_OLD_IMAGES, or set "
                f"tables.{self.table}.changes to false.",
            )

    def _tell_segments(self, state: TableState) -> None:
        wanted = None if state.origin else self._segments()
        if state.phase is Phase.LOADING and wanted and wanted != state.segments:
            log.warning(
                "%s: the scan continues in %s, as it began; the next one will be in %d",
                self.table,
                counted(state.segments, "segment"),
                wanted,
            )

    def _stale(self, state: TableState) -> bool:
        """Whether only reading the whole table again shows what it is like now."""
        if self.changes is not None:
            return False
        had = state.spec or TableSpec()
        return state.phase is Phase.TAILING or had.follow != self.table_config.follow

    def configured(self, state: TableState) -> TableState:
        """The state, adapted to the present configuration.

        Raises ConfigError if only a full refresh can convert the rows to it.
        """
        spec = self.spec
        place = (self.config.destination.schema_name, self.target)
        if (state.spec, state.target_schema, state.target) == (spec, *place):
            if spec.descriptions and self.destination.undescribed(self.table):
                return self.destination.reconfigure(self.table, self.target, spec)
            return state
        spec.check_keys(self.table, state.identity.keys)
        self._check_view(spec, state.identity.view_type)
        changed = self.destination.reconfigure(self.table, self.target, spec)
        if (state.target_schema, state.target) != place:
            moved = (self.table, state.target_schema, state.target, *place)
            log.info("%s: its table %s.%s is now %s.%s", *moved)
        report_settings(state, spec)
        return changed

    def _segments(self) -> int | None:
        return self.table_config.segments or self.config.scan.segments

    def plan(self, replaces: TableState | None, plan_id: str | None = None) -> TableState:
        """Plans a new generation: the first, or one that replaces another."""
        spec = self.spec
        if spec.rules or spec.contract or spec.routes:
            identity = self.lookup.describe().identity
            spec.check_keys(self.table, identity.keys)
            self._check_view(spec, identity.view_type)
        if spec.rules.hashes and self.hash_key is not None and self.hash_key.short:
            log.warning(
                "%s: %s has fewer than %d characters, so it can be found by trying; "
                "`openssl rand -hex 32` makes a better one",
                self.table,
                VARIABLE,
                SHORT,
            )
        planned = plan(
            self.lookup,
            self.snapshot,
            self.changes,
            self.destination,
            self.table,
            self.target,
            spec,
            segments=self._segments(),
            workers=self.workers,
            stop=self.stop,
            replaces=replaces,
            plan_id=plan_id,
            filler=self.filler,
        )
        before = replaces.columns if replaces else {}
        report_renamed(self.table, renamed(planned.columns, before))
        return planned
