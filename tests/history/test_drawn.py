"""Any interleaving of writes, scan, tail, load, crash, replay and rivals leaves a true history."""

from collections.abc import Iterator
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from connector.core.state import Phase, TableState
from connector.errors import CursorMoved
from connector.pipeline.sync import Run
from tests.pipeline.replica import ORDERS, SCHEMA, key, order
from tests.properties.strategies import profile
from tests.properties.test_converges import ITEMS, World, ids
from tests.rigs.postgres import Database

from .conftest import BOTH
from .truth import check_as_of, check_endings, check_history, check_log


@pytest.fixture(autouse=True, scope="module")
def small_pages() -> Iterator[None]:
    """Two or three orders fill a page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.rigs.scripted.scan.PAGE_BYTES", 60)
        yield


class KeptWorld(World):
    """One table, its replica with all versions and changes, and a process that may die."""

    def __init__(self) -> None:
        super().__init__()
        self.replica.settings.update(BOTH)

    @initialize(shards=st.integers(1, 2))
    def a_table_with_a_past(self, shards: int) -> None:
        table = self.rig.create_table(ORDERS, SCHEMA, shards=shards)
        table.load(order(n, -1) for n in range(ITEMS))

    @rule(numbers=st.lists(ids, min_size=1, max_size=4))
    def expire(self, numbers: list[int]) -> None:
        self.replica.model.expire(*map(key, numbers))

    @rule(numbers=st.lists(ids, min_size=1, max_size=2))
    def delete_and_put_again(self, numbers: list[int]) -> None:
        """As a rule within one second, and in one batch."""
        self.delete(numbers)
        self.write(numbers)

    @rule(seconds=st.sampled_from((1, 3, 1200)))
    def time_passes(self, seconds: float) -> None:
        self.rig.clock.advance(seconds)

    @rule(numbers=st.lists(ids, min_size=1, max_size=4))
    def write_later(self, numbers: list[int]) -> None:
        self.rig.clock.advance(3)
        self.write(numbers)

    def put(self, run: Run, state: TableState) -> None:
        if state.phase is not Phase.LOADING:
            raise CursorMoved("it is loaded already")
        run.load(yes=True)

    def replan(self, run: Run, state: TableState) -> None:
        run.begin(full_refresh=True)

    def check(self) -> None:
        super().check()
        check_log(self.replica)
        check_history(self.replica)
        check_endings(self.replica)
        check_as_of(self.replica, {str(n): -1 for n in range(ITEMS)})


KeptWorld.TestCase.settings = settings(profile(3, times=50), stateful_step_count=25)
TestAnyInterleavingIsKept = KeptWorld.TestCase


class KeptWorldInPostgres(KeptWorld):
    """The same, with a replica in Postgres."""

    database: ClassVar[Database]

    def place(self) -> str:
        self.database.clean(with_state=True)
        return self.database.url


@pytest.fixture(scope="module")
def given_to_the_world(postgres_database: Database) -> None:
    KeptWorldInPostgres.database = postgres_database


KeptWorldInPostgres.TestCase.settings = settings(profile(2, times=80), stateful_step_count=25)
TestAnyInterleavingIsKeptInPostgres = pytest.mark.usefixtures("given_to_the_world")(
    KeptWorldInPostgres.TestCase
)
