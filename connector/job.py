"""The composition root: builds a run from a configuration and a table."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from connector.config.model import Config
from connector.core.contracts.seen import Sight
from connector.core.rules.hash_key import hash_key
from connector.core.spec import TableSpec
from connector.core.state import ScanPlan, TableState
from connector.core.status import Status
from connector.destinations import registry as destinations
from connector.events import Listener, ScanBegun, quiet
from connector.pipeline.declared.looking import of_source
from connector.pipeline.scan import Scanning, SegmentScan
from connector.pipeline.sync import Run
from connector.ports import Destination, Lookup
from connector.publishing import Publishing
from connector.regions import begins_in, followed, moved
from connector.scanning.pool import WorkerProcesses, usual_workers
from connector.scanning.processes import ProcessScan
from connector.scanning.segments import segment_scan
from connector.scanning.threads import ThreadScan
from connector.scanning.turns import ScanTurns, TurnedScan
from connector.sources import registry as sources
from connector.sources.dynamodb.calls import Spending
from connector.sources.dynamodb.client import SharedClients
from connector.sources.dynamodb.host_session import of_a_session
from connector.sources.way import Opening, WayIn
from connector.spool.chains import ArrowSpool
from connector.stop import Stop
from connector.waits import Waits

SMALL_TABLE_BYTES = 64 * 1024**2
"""One thread reads a table smaller than this before processes would have started."""


@dataclass(frozen=True)
class Shared:
    """What the runs of several tables in one program share."""

    clients: SharedClients
    processes: WorkerProcesses = field(default_factory=WorkerProcesses)
    """Processes that already wait for a scan."""
    turns: ScanTurns = field(default_factory=ScanTurns)
    spending: Spending = field(default_factory=Spending)

    @classmethod
    def by(
        cls,
        config: Config,
        tables: int = 1,
        scans: int = 1,
        processes: WorkerProcesses | None = None,
        credentials: Any = None,
    ) -> "Shared":
        """For runs of `tables` tables, of which at most `scans` are scanned by threads at once."""
        # The scan that goes on beside the readers of a stream has a connection of its own.
        connections = tables * (config.tail.readers + 1)
        return cls(
            clients=SharedClients(
                config.source, connections, credentials, besides=sources.besides(config)
            ),
            processes=processes or WorkerProcesses(),
            turns=ScanTurns.of(scans, capped=config.source.max_read_units is not None),
        )


def open_destination(config: Config, table: str | None = None, command: str = "") -> Destination:
    """The configured destination, for one table or, without one, for all."""
    destination = config.destination
    return destinations.open_destination(
        destination.url,
        destination,
        schema=destination.schema_name,
        lock_timeout=destination.lock_timeout,
        command=command,
        waits=Waits(table or ""),
    )


def status(state: TableState | None, now: datetime) -> Status:
    """A table's status from its state alone; the source is not asked."""
    spec = (state and state.spec) or TableSpec()
    retention = sources.follower_of(spec).retention_of(state)
    if retention and state and state.retention:
        retention = replace(retention, lasts=state.retention)
    return Status.of(state, now, retention)


def region_of(config: Config, state: TableState) -> str | None:
    """The Region that a table is read in, as far as the state and the configuration say."""
    return state.identity.region or begins_in(config, state.identity.table_arn)


def open_way(
    config: Config,
    table: str,
    stop: Stop | None = None,
    credentials: Any = None,
    shared: Shared | None = None,
    waits: Waits | None = None,
    export: str | None = None,
) -> WayIn:
    """The way in that the table's settings choose; its waits end early once `stop` is requested."""
    common = shared or Shared.by(config, credentials=credentials)
    return sources.open_way(
        Opening(
            config,
            table,
            sleep=(stop or Stop.never()).sleep,
            clients=common.clients.get(config.source.region),
            spending=common.spending,
            waits=waits,
            export=export,
        )
    )


def open_replica(config: Config, table: str, region: str, stop: Stop | None = None) -> WayIn:
    """The table in another Region, to be compared and not to be followed: it needs no stream."""
    return open_way(moved(config, region).unfollowed(table), table, stop)


def sampled(config: Config, table: str, items: int, stop: Stop) -> Sight:
    """What some items of a table are like, as its rules leave them; it needs no stream."""
    config = _as_read(config, table, open_destination(config, table), None, None).unfollowed(table)
    way, spec = open_way(config, table, stop), config.tables[table].spec()
    key, limits = hash_key(), config.destination.backend.limits
    keyed = replace(spec, rules=spec.rules.keyed(key))
    found = way.lookup.describe().identity
    return of_source(way.pages, found, table, keyed, key, limits, items, stop)


def publishing(
    config: Config, stop: Stop, listener: Listener = quiet
) -> AbstractContextManager[None]:
    """While the block runs, publishes copies for readers, and a last one after it, if configured.

    The listener hears of each, from several threads. Raises what keeps the last one from being
    published, unless the block itself raised.
    """
    copies = open_destination(config).copies
    return nullcontext() if copies is None else Publishing(copies, stop, listener=listener)


@contextmanager
def source_errors() -> Iterator[None]:
    """Turns exceptions of AWS and botocore in the block into errors of ours.

    For host programs, which open sessions of their own. Other exceptions pass through.
    """
    try:
        yield
    except Exception as error:
        problem = of_a_session(error)
        if problem is error:
            raise
        # The original message may hold more than should be shown.
        raise problem from None


def _as_read(
    config: Config, table: str, destination: Destination, region: str | None, export: str | None
) -> Config:
    """The configuration for what a run of a table reads, and in the Region where it reads."""
    config = config.exported(table) if export else config
    if region:
        return moved(config, region)
    if not config.source.regions:
        return config
    state = destination.read(table)
    if state is None:
        return followed(config, table, None)
    return followed(config, table, state.identity.region, state.identity.table_arn)


@dataclass(frozen=True)
class _Scans:
    """Starts the scan of one run's table: in a thread if that is quicker, else in processes."""

    config: Config
    lookup: Lookup
    workers: int
    listener: Listener
    shared: Shared
    credentials: Any
    waits: Waits

    def start(self, state: TableState) -> Scanning:
        description = self.lookup.describe()
        self.listener(ScanBegun(description.item_count, state.segments, state.origin))
        count = min(self.workers, state.segments)
        small = description.size_bytes < SMALL_TABLE_BYTES and not self.config.scan.workers
        # Look-ups beside the scan spend the same read units, of which only this process knows.
        shared = not description.images and self.config.source.max_read_units is not None
        turns = self.shared.turns
        if count == 1 or small or shared or self.credentials is not None:
            self.shared.processes.close()
            return TurnedScan(state.table, turns.threads, lambda: self._thread(state), self.waits)
        return TurnedScan(
            state.table, turns.processes, lambda: self._processes(state, count), self.waits
        )

    def _thread(self, state: TableState) -> Scanning:
        # Its turn may have come long after the table was first asked for.
        clients = self.shared.clients.get(self.config.source.region)
        return ThreadScan(
            self.config, state, self.listener, self.shared.spending, clients, self.waits
        )

    def _processes(self, state: TableState, count: int) -> Scanning:
        taken = self.shared.processes.take(count)
        return ProcessScan(self.config, state, self.listener, taken, self.waits)


def open_run(
    config: Config,
    table: str,
    *,
    listener: Listener = quiet,
    stop: Stop | None = None,
    command: str = "",
    credentials: Any = None,
    shared: Shared | None = None,
    destination: Destination | None = None,
    export: str | None = None,
    region: str | None = None,
) -> Run:
    """Everything one run of a table needs; `export` replaces the scan, `region` the state's Region.

    `credentials` are a host program's; runs share `shared`, and tries of one run `destination`.
    """
    destination = destination or open_destination(config, table, command)
    config = _as_read(config, table, destination, region, export)
    workers, waits = config.scan.workers or usual_workers(), Waits(table, listener=listener)
    ends, common = stop or Stop.never(), shared or Shared.by(config, credentials=credentials)
    way = open_way(config, table, ends, shared=common, waits=waits, export=export)
    return Run(
        table=table,
        target=config.target(table),
        config=config,
        table_config=config.tables[table],
        lookup=way.lookup,
        whole=way.snapshot,
        pages=way.pages,
        changes=way.changes,
        filler=way.filler,
        destination=destination,
        spool_of=lambda state: ArrowSpool(config.spool_location(), table, state.plan_id),
        start_scan=_Scans(config, way.lookup, workers, listener, common, credentials, waits).start,
        listener=listener,
        stop=ends,
        workers=workers,
        waits=waits,
    )


def open_segment_scan(
    config: Config,
    table: str,
    *,
    plan_id: str,
    segments: int,
    spec: TableSpec | None = None,
    origin: str | None = None,
    region: str | None = None,
    listener: Listener,
    stop: Stop,
    credentials: Any = None,
) -> SegmentScan:
    """A scan of single segments of a plan made elsewhere; the destination is not asked.

    The load checks that the table is still the planned one.
    """
    config = followed(config, table, region)
    shared = Shared.by(config, credentials=credentials)
    description = open_way(config, table, stop, shared=shared).lookup.describe()
    listener(ScanBegun(description.item_count, segments))
    return segment_scan(
        config,
        ScanPlan(
            table,
            description.identity,
            plan_id,
            segments,
            spec or config.tables[table].spec(),
            origin=origin,
        ),
        listener,
        stop,
        workers=segments,
        clients=shared.clients.get(config.source.region),
    )


def drop_spool(config: Config, state: TableState) -> None:
    """Removes the spooled rows of a table."""
    ArrowSpool(config.spool_location(), state.table, state.plan_id).drop()
