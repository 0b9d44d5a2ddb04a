"""Any interleaving of moves, scan, tail, load, crash, replay and rivals divides the source."""

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.pipeline.replica import ORDERS, SCHEMA, order
from tests.properties.strategies import profile
from tests.properties.test_converges import ITEMS, VIEWS, World, ids
from tests.rigs.postgres import Database

KINDS = ("a", "b", "none of them")


@pytest.fixture(autouse=True, scope="module")
def small_pages() -> Iterator[None]:
    """Two or three orders fill a page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.rigs.scripted.scan.PAGE_BYTES", 60)
        yield


def of_kind(number: int, n: int) -> dict[str, Any]:
    """An order whose kind depends on how often it was written."""
    return {**order(number, n), "kind": {"S": KINDS[n % len(KINDS)]}}


class RoutedWorld(World):
    """One table, its targets, and a process that may die."""

    otherwise = "skip"

    def __init__(self) -> None:
        super().__init__()
        routes = [{"when": {"kind": kind}, "into": kind} for kind in KINDS[:2]]
        self.replica.settings["tables"] = {ORDERS: {"routes": [*routes, {"else": self.otherwise}]}}

    @initialize(shards=st.integers(1, 2), view=st.sampled_from(VIEWS))
    def a_table_with_a_past(self, shards: int, view: str) -> None:
        table = self.rig.create_table(ORDERS, SCHEMA, shards=shards, view=view)
        table.load(of_kind(n, n) for n in range(ITEMS))

    @rule(numbers=st.lists(ids, min_size=1, max_size=4))
    def write(self, numbers: list[int]) -> None:
        for number in numbers:
            self.writes += 1
            self.replica.model.put(of_kind(number, self.writes))

    @property
    def targets(self) -> list[str]:
        return [*KINDS[:2], *([] if self.otherwise == "skip" else [self.otherwise])]

    def found(self) -> list[tuple[str, str, int]]:
        """The target, the id and the number of every row."""
        parts = self.replica.state().parts
        selects = [
            f"SELECT '{name}', id, {'n' if 'n' in parts[name] else 'NULL'} FROM {name}"
            for name in self.targets
        ]
        return [
            (target, id_, n) for target, id_, n in self.replica.sql(" UNION ALL ".join(selects))
        ]

    @rule()
    @precondition(lambda self: self.tail is not None)
    def look(self) -> None:
        """No item is in two targets, whatever is still to come."""
        ids = [id_ for _, id_, _ in self.found()]
        assert len(ids) == len(set(ids))

    def check(self) -> None:
        wanted = [
            (kind if kind in KINDS[:2] else self.otherwise, item["id"]["S"], int(item["n"]["N"]))
            for item in self.replica.model.items()
            for kind in (item["kind"]["S"],)
        ]
        assert sorted(self.found()) == sorted(each for each in wanted if each[0] != "skip")
        assert self.replica.verdict().equal
        assert self.replica.sql("SELECT count(*) FROM _connector.tombstones") == [(0,)]


RoutedWorld.TestCase.settings = settings(profile(4, times=50), stateful_step_count=25)
TestAnyInterleavingIsDivided = RoutedWorld.TestCase


class RoutedWorldInPostgres(RoutedWorld):
    """The same in Postgres, with a target for all others."""

    database: ClassVar[Database]
    otherwise = "others"

    def place(self) -> str:
        self.database.clean(with_state=True)
        return self.database.url


@pytest.fixture(scope="module")
def given_to_the_world(postgres_database: Database) -> None:
    RoutedWorldInPostgres.database = postgres_database


RoutedWorldInPostgres.TestCase.settings = settings(profile(2, times=80), stateful_step_count=25)
TestAnyInterleavingIsDividedInPostgres = pytest.mark.usefixtures("given_to_the_world")(
    RoutedWorldInPostgres.TestCase
)
