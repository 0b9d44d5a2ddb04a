"""Any interleaving of writes, scan, tail, load, crash, replay and rivals ends at the source."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from connector import failpoints
from connector.core.state import Phase, TableState
from connector.errors import CursorMoved, Transient
from connector.events import quiet
from connector.pipeline.following.tail import Tail
from connector.pipeline.load import load
from connector.pipeline.sync import Run
from connector.scanning.segments import segment_scan
from connector.stop import Stop
from tests.pipeline.replica import ORDERS, SCHEMA, Replica, key, order
from tests.rigs.postgres import Database
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB, faults

from .crashes import crash_at
from .strategies import profile, quick_folder

ITEMS = 12
SEGMENTS = 2
FAULTS: dict[str, faults.Effect] = {
    "html": faults.html(),
    "cut": faults.cut_body(),
    "empty page": faults.empty_page(),
    "500": faults.internal_server_error(),
    "expired": faults.expired_iterator(),
    "repeat": faults.repeat(),
}
VIEWS = ("NEW_AND_OLD_IMAGES", "KEYS_ONLY", "OLD_IMAGE")
ids = st.integers(0, ITEMS + 4)


@pytest.fixture(autouse=True, scope="module")
def small_pages() -> Iterator[None]:
    """Two or three orders fill a page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.rigs.scripted.scan.PAGE_BYTES", 60)
        yield


class World(RuleBasedStateMachine):
    """One table, its replica, and a process that may die at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.folder: tempfile.TemporaryDirectory[str] = quick_folder()
        self.rig = ScriptedDynamoDB(clock=RunningClock()).__enter__()
        spool = str(Path(self.folder.name) / "spool")
        self.replica = Replica(
            self.rig,
            Path(self.folder.name),
            settings={"scan.segments": SEGMENTS, "spool": spool},
            database=self.place(),
        )
        self.run: Run | None = None
        self.tail: Tail | None = None
        self.zombies: list[Tail] = []
        self.writes = 0

    def place(self) -> str:
        """The url of an empty Postgres database; without it, a DuckDB file."""
        return ""

    @initialize(shards=st.integers(1, 2), view=st.sampled_from(VIEWS))
    def a_table_with_a_past(self, shards: int, view: str) -> None:
        table = self.rig.create_table(ORDERS, SCHEMA, shards=shards, view=view)
        table.load(order(n, -1) for n in range(ITEMS))

    def teardown(self) -> None:
        try:
            self.rig.faults.clear()
            self.die()
            self.replica.sync()
            self.check()
        finally:
            for tail in self.zombies:
                tail.__exit__(None, None, None)
            self.rig.__exit__(None, None, None)
            self.folder.cleanup()

    def check(self) -> None:
        """The replica equals its source once all is read."""
        self.replica.assert_equal()
        assert self.replica.verdict().equal
        assert self.replica.sql("SELECT count(*) FROM _connector.tombstones") == [(0,)]

    # The source

    @rule(numbers=st.lists(ids, min_size=1, max_size=4))
    def write(self, numbers: list[int]) -> None:
        for number in numbers:
            self.writes += 1
            self.replica.model.put(order(number, self.writes))

    @rule(numbers=st.lists(ids, min_size=1, max_size=4))
    def delete(self, numbers: list[int]) -> None:
        self.replica.model.delete(*map(key, numbers))

    @rule(into=st.integers(1, 2), which=st.integers(0, 3))
    def roll_a_shard(self, into: int, which: int) -> None:
        shards = self.replica.model.stream.open_shards()
        self.replica.model.stream.split(shards[which % len(shards)], into)

    @rule(name=st.sampled_from(sorted(FAULTS)), on=st.sampled_from(("Scan", "GetRecords")))
    def something_goes_wrong(self, name: str, on: str) -> None:
        if on == "GetRecords" or name not in ("expired", "repeat"):
            self.rig.faults.add(FAULTS[name], on=on)

    # The process

    @rule()
    @precondition(lambda self: self.tail is not None)
    def die(self) -> None:
        if self.tail is not None:
            self.tail.__exit__(None, None, None)
        self.run = self.tail = None

    @rule()
    @precondition(lambda self: self.tail is not None)
    def be_replaced(self) -> None:
        """A second process starts; the first one goes on later, with what it knew."""
        if self.tail is not None:
            self.zombies.append(self.tail)
        self.run = self.tail = None

    @rule()
    @precondition(lambda self: self.zombies)
    def a_zombie_goes_on(self) -> None:
        tail = self.zombies.pop(0)
        with tail, suppress(CursorMoved):
            tail.round()

    def alive(self) -> tuple[Run, Tail]:
        """The running process, started if there is none."""
        if self.run is None or self.tail is None:
            self.run = self.replica.run()
            self.tail = self.tail_of(self.run, self.run.planned())
        return self.run, self.tail

    def tail_of(self, run: Run, state: TableState) -> Tail:
        return Tail(
            changes=run.changes,
            lookup=run.lookup,
            destination=run.destination,
            since=state,
            encoder=run.encoder(state),
            config=run.config.tail,
            listener=quiet,
            quarantine_limit=0,
            stop=Stop(lambda: False, lambda seconds: False),
        )

    @rule()
    def read_the_stream(self) -> None:
        _, tail = self.alive()
        try:
            tail.round()
        except CursorMoved:
            self.die()

    @rule(segment=st.integers(0, SEGMENTS - 1), pages=st.integers(1, 3))
    def scan(self, segment: int, pages: int) -> None:
        _, tail = self.alive()
        if tail.state.phase is not Phase.LOADING:
            return
        left = iter(range(pages))
        stopped: Callable[[], bool] = lambda: next(left, None) is None  # noqa: E731
        scanning = segment_scan(
            self.replica.config(), tail.state, quiet, Stop(stopped, lambda seconds: False)
        )
        scanning.run(segment)

    @rule()
    def scan_to_the_end_and_load(self) -> None:
        for segment in range(SEGMENTS):
            self.scan(segment, 1000)
        self.load()

    @rule()
    def load(self) -> None:
        run, tail = self.alive()
        try:
            self.put(run, tail.state)
        except CursorMoved:
            self.die()
        except Transient:
            return
        else:
            tail.restart(self.replica.state())

    def put(self, run: Run, state: TableState) -> None:
        """Puts what was scanned into the table."""
        spool, now = run.spool_of(state), run.changes.now()
        load(run.destination, spool, state, now=now, limit=0, max_deleted=None)

    @rule()
    def read_everything_again(self) -> None:
        run, tail = self.alive()
        with suppress(CursorMoved):
            self.replan(run, tail.state)
        self.be_replaced()

    def replan(self, run: Run, state: TableState) -> None:
        """Plans a new generation in the place of another."""
        run.plan(state)

    @rule(
        point=st.sampled_from(failpoints.NAMES + failpoints.LOOK_UP_NAMES),
        step=st.sampled_from((read_the_stream, scan_to_the_end_and_load, read_everything_again)),
    )
    def crash(self, point: str, step: Callable[["World"], None]) -> None:
        """A step that comes to a point it does not survive."""
        with crash_at(point):
            step(self)
        self.die()


World.TestCase.settings = settings(profile(3, times=50), stateful_step_count=25)
TestAnyInterleavingConverges = World.TestCase


class WorldInPostgres(World):
    """The same, with a replica in Postgres."""

    database: ClassVar[Database]

    def place(self) -> str:
        self.database.clean(with_state=True)
        return self.database.url


@pytest.fixture(scope="module")
def given_to_the_world(postgres_database: Database) -> None:
    WorldInPostgres.database = postgres_database


WorldInPostgres.TestCase.settings = settings(profile(2, times=80), stateful_step_count=25)
TestAnyInterleavingConvergesInPostgres = pytest.mark.usefixtures("given_to_the_world")(
    WorldInPostgres.TestCase
)
