"""The whole program over the scripted server, in virtual time: days pass in milliseconds.

A real DynamoDBSource with real botocore reads over HTTP; waiting moves the server's clock instead
of spending time. Each run is made from nothing but the destination, as after a crash.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from connector import failpoints
from connector.config import loading as configuration
from connector.config.model import Config
from connector.core.state import TableState
from connector.destinations.duckdb.file import DuckDBDestination
from connector.errors import ConnectorError
from connector.events import quiet
from connector.pipeline.following.failover import fail_over
from connector.pipeline.following.tail import Tail
from connector.pipeline.scan import SegmentScan, make_encoder
from connector.pipeline.sync import Run
from connector.ports import Destination
from connector.regions import followed, moved
from connector.sources.dynamodb.calls import ReadUnitLimiter
from connector.sources.dynamodb.source import DynamoDBSource
from connector.stop import Stop
from tests.destinations.fake import FakeDestination
from tests.rigs import duckdb_file
from tests.rigs.scripted.scenario import Before, Put, Stage, Step

from .checker import Checker
from .inline import InlineScan
from .memory import items as kept_items
from .truth import Item, Key, cell, of_json
from .witness import Counted, MemorySpools, Witness, spooled

LONGEST_RUN = 100 * 3600.0
MOST_PAUSES = 50_000


class Crash(BaseException):
    """The process is killed: nothing it holds in memory is left."""


class TooLong(AssertionError):
    """A run does not come to its end."""


@dataclass
class Replica(Stage):
    """A scenario's table, its replica, and what happens when time passes."""

    folder: Path | None = None
    """Where the DuckDB file is; None keeps the replica in memory, which is faster."""
    settings: dict[str, object] = field(default_factory=dict)
    scan_pages: int | None = None
    """Pages scanned between two rounds of the tail; None is all of them."""
    destination: Destination = field(default_factory=FakeDestination)
    spools: MemorySpools = field(default_factory=spooled)
    stopping: bool = False
    later: list[tuple[float, tuple[Step, ...]]] = field(default_factory=list)
    listeners: list[Callable[[], object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rig.calls.keep_answers = True
        if self.folder:
            self.destination = DuckDBDestination(self.file, "main", lock_timeout=5.0, command="t")
        self.checker = Checker(self.rig)
        self.witness = Witness(self.destination, self.checker, self.contents)
        self._pauses = 0
        self._ends_at = 0.0

    @property
    def file(self) -> Path:
        """The DuckDB file."""
        assert self.folder is not None
        return self.folder / "warehouse.duckdb"

    # Time

    def after(self, *steps: Step, seconds: float = 0, minutes: float = 0, hours: float = 0) -> None:
        """Plays steps when so much virtual time has passed in a run."""
        at = self.rig.clock.now() + seconds + 60 * minutes + 3600 * hours
        self.later.append((at, steps))
        self.later.sort(key=lambda entry: entry[0])

    def pause(self, seconds: float) -> bool:
        """Lets virtual time pass; true where the run is to end."""
        end = self.rig.clock.now() + seconds
        while self.later and self.later[0][0] <= end:
            at, steps = self.later.pop(0)
            self.rig.clock.set(max(at, self.rig.clock.now()))
            self.play(*steps)
        self.rig.clock.set(max(end, self.rig.clock.now()))
        self._pauses += 1
        if self._pauses > MOST_PAUSES or self.rig.clock.now() > self._ends_at:
            raise TooLong(f"{self._pauses} waits, until {self.rig.clock.datetime()}")
        for listener in self.listeners:
            listener()
        return self.stopping

    # Runs

    def config(self) -> Config:
        """The configuration of every run."""
        overrides: dict[str, object] = {
            "source.endpoint_url": self.rig.url,
            "scan.segments": 1,
            "tail.readers": 1,
            **self.settings,
        }
        return configuration.load(
            None,
            to=f"duckdb:///{self.folder or '/nowhere'}/warehouse.duckdb",
            tables=[self.table],
            environment={},
            overrides=overrides,
        )

    def run(self, region: str | None = None) -> Run:
        """A new run, with a new source, that knows only what the destination remembers."""
        state = self.destination.read(self.table)
        planned = state.identity.region if state else None
        config = moved(self.config(), region) if region else self.config()
        config = config if region else followed(config, self.table, planned)
        settings = config.tables[self.table]
        self.checker.batch_records = config.tail.batch_records
        self.checker.readers = config.tail.readers
        self.checker.max_read_units = config.source.max_read_units
        self._pauses, self._ends_at = 0, self.rig.clock.now() + LONGEST_RUN

        def source() -> DynamoDBSource:
            return self._source(config)

        def start_scan(state: TableState) -> InlineScan:
            scan = SegmentScan(
                snapshot=source(),
                spool=self.spools(state),
                state=state,
                encoder=make_encoder(state),
                listener=quiet,
                quarantine_limit=config.quarantine.limit,
            )
            return InlineScan(scan, state.segments, self.scan_pages)

        opened = source()
        return Run(
            table=self.table,
            target=config.target(self.table),
            config=config,
            table_config=settings,
            lookup=opened,
            pages=opened,
            changes=opened,
            destination=self.witness,
            spool_of=self.spools,
            start_scan=start_scan,
            listener=Counted(self.checker),
            stop=Stop(lambda: self.pause(0), self.pause),
            workers=1,
        )

    def _source(self, config: Config) -> DynamoDBSource:
        def sleep(seconds: float) -> None:
            self.pause(seconds)

        source = DynamoDBSource(config.source, self.table, sleep=sleep)
        # Deadlines and read units are counted in virtual time, too.
        source._call.monotonic = self.rig.clock.now
        limiter = ReadUnitLimiter(config.source.max_read_units, sleep, self.rig.clock.now)
        source._scanner._limiter = source._lookups.limiter = limiter
        return source

    def sync(self, until: Callable[[Tail], bool] | None = None) -> TableState:
        """One run of sync, until it is caught up, or `until`; then every invariant is checked."""
        return self._checked(lambda: self.run().sync(until or caught_up), until is None)

    def tail(self, until: Callable[[Tail], bool] | None = None) -> TableState:
        """One run of tail."""
        return self._checked(lambda: self.run().tail(until or caught_up), until is None)

    def refresh(self) -> TableState:
        """A full refresh, and then a sync."""
        self._checked(lambda: self.run().snapshot(full_refresh=True, yes=True), False)
        return self.sync()

    def fail_over(self, region: str) -> TableState:
        """A failover to a Region."""
        return self._checked(lambda: fail_over(self.run(region), region, yes=True), True)

    def follow(self, *, minutes: float = 0, hours: float = 0) -> TableState:
        """One run that follows for so long."""
        end = self.rig.clock.now() + 60 * minutes + 3600 * hours
        return self.sync(lambda tail: self.rig.clock.now() >= end)

    def rounds(self, count: int) -> TableState:
        """One run of so many rounds after the load."""
        left = iter(range(count - 1))
        return self.sync(lambda tail: next(left, None) is None)

    def fails(self, error: type[ConnectorError], match: str | None = None) -> ConnectorError:
        """One run of sync that must end with an error, which tells what to do."""
        with pytest.raises(error, match=match) as caught:
            self.sync()
        assert caught.value.message
        return caught.value

    def crash(self, at: str, run: Callable[[], TableState] | None = None) -> bool:
        """One run that is killed at a failpoint, as in "tail.after_read:2"; true if so."""
        failpoints.os.environ[failpoints.VARIABLE] = at
        try:
            (run or self.sync)()
        except Crash:
            self.checker.tally.crashes += 1
            return True
        finally:
            failpoints._reached.clear()
            del failpoints.os.environ[failpoints.VARIABLE]
        return False

    def _checked(self, run: Callable[[], TableState], caught_up: bool) -> TableState:
        error: BaseException | None = None
        self.checker.began()
        try:
            return run()
        except BaseException as raised:
            error = raised
            raise
        finally:
            if self.witness.violation:
                raise self.witness.violation
            if not isinstance(error, Crash | AssertionError):
                state = self.destination.read(self.table)
                problem = state.problem if state else "it was never planned"
                if state:
                    self.witness.compare(self.table)
                self.checker.ended(error, caught_up, problem)

    # What the destination holds

    def state(self) -> TableState:
        """What the destination remembers."""
        state = self.destination.read(self.table)
        assert state is not None
        return state

    def contents(self) -> dict[Key, Item]:
        """The live rows, read by the test itself."""
        if isinstance(self.destination, FakeDestination):
            return {
                of_json(item["id"]): {name: of_json(text) for name, text in item.items()}
                for item in kept_items(self.destination, self.table, marked=False)
            }
        with duckdb_file.opened(self.file, read_only=True) as connection:
            listed = connection.execute(f'DESCRIBE "{self.table}"').fetchall()
            # Not the service columns: Python cannot hold DuckDB's timestamps without a library.
            columns = {name: kind for name, kind, *_ in listed if not name.startswith("_")}
            where = "WHERE NOT _deleted" if "_deleted" in {name for name, *_ in listed} else ""
            chosen = ", ".join(f'"{name}"' for name in columns)
            answer = connection.execute(f'SELECT {chosen} FROM "{self.table}" {where}').fetchall()
        items = [_item(columns, row) for row in answer]
        return {item["id"]: item for item in items}


def _item(columns: Mapping[str, str], row: tuple[Any, ...]) -> Item:
    return {
        name: cell(value, kind == "JSON")
        for (name, kind), value in zip(columns.items(), row, strict=True)
        if value is not None
    }


def caught_up(tail: Tail) -> bool:
    """Until everything written before the run began is there."""
    return tail.caught_up()


def planned(replica: Replica, *steps: Step) -> None:
    """A replica that is equal, and then what happens next."""
    replica.play(Before(3), Put("a", 1))
    replica.sync()
    replica.play(*steps)
