"""Files, schemas and tables of one name: what is meant is always said in full."""

from pathlib import Path

import duckdb
import pytest

from connector.core.spec import Deletes, TableSpec
from connector.destinations.duckdb.file import DuckDBDestination
from connector.errors import DestinationRefused
from tests.rigs.combinations import turn

from .items import A2, A, B, C
from .story import EPOCH, Story, delete, put

STEMS = [
    "sales",
    "Sales",
    "main",
    "_connector",
    "_CONNECTOR",
    "system",
    "temp",
    "memory",
    "information_schema",
    "pg_catalog",
    "a.b",
    ".hidden",
    'q"uote',
    "a b",
    "é",
    "tables",
    "orders",
]
PAIRS = [(stem, "sales") for stem in STEMS] + [
    ("main", "main"),
    ("temp", "temp"),
    ("memory", "memory"),
    ("system", "temp"),
    ("A b", "a B"),
    ("_connector", "tables"),
    ("sales", "pg_temp"),
]
TARGETS = ["sales", "_connector", "tables", "temp", "main", "system"]
# The rest of a table's life says every name in the way that its beginning does.
WHOLE = turn(PAIRS, 0, at_once=4)


@pytest.mark.parametrize(("stem", "schema"), PAIRS)
def test_a_file_may_be_called_like_its_schema_or_like_any_other(
    tmp_path: Path, stem: str, schema: str
) -> None:
    destination = DuckDBDestination(tmp_path / f"{stem}.duckdb", schema, lock_timeout=5)
    lives(destination, whole=(stem, schema) in WHOLE)


@pytest.mark.parametrize("target", TARGETS)
def test_a_table_may_be_called_like_its_file_or_its_schema(tmp_path: Path, target: str) -> None:
    destination = DuckDBDestination(tmp_path / "sales.duckdb", "sales", lock_timeout=5)
    lives(destination, target, whole=target in turn(TARGETS, 0, at_once=3))


def beginning(destination: DuckDBDestination, target: str = "orders") -> Story:
    """A table that is planned, followed and loaded, with columns for some attributes only."""
    story = Story(destination, target=target, deletes=Deletes.SOFT, spec=TableSpec(max_columns=2))
    story.plan()
    story.tail(put(A), put(B), delete(B))
    wide = {**C, "m": {"S": "x"}, "temp": {"N": "1"}}
    later = EPOCH.replace(year=2031)
    story.load(story.page(C, A2), story.page(wide, at=later))
    story.shows(A, wide)
    return story


def lives(destination: DuckDBDestination, target: str = "orders", *, whole: bool) -> None:
    """A table's whole life, or its beginning and its end."""
    if whole:
        whole_life(destination, target)
        return
    beginning(destination, target)
    destination.reset("orders", drop=True)
    assert destination.tables() == []


def whole_life(destination: DuckDBDestination, target: str = "orders") -> None:
    """Every statement that a table meets in its life."""
    assert not any(need.error for need in destination.check())
    story = beginning(destination, target)
    assert destination.tables() == ["orders"]
    story.tail(put(A2), delete(C))
    story.refresh()
    story.load(story.page(A2, B, B))
    story.shows(A2, B)
    assert destination.count("orders") == 2
    destination.note("orders", "why")
    state = story.state()
    assert (state.problem, state.target) == ("why", target)
    state = destination.reconfigure("orders", "renamed", TableSpec(max_columns=2))
    assert state.target == "renamed"
    story.shows(A2, B)
    destination.reset("orders", drop=False)
    story.target = "renamed"
    story.plan("plan-again")
    story.load(story.page(A))
    story.shows(A)
    destination.reset("orders", drop=True)
    assert destination.tables() == []


def test_a_table_moves_between_schemas_that_are_called_like_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sales.duckdb"
    story = Story(DuckDBDestination(path, "main", lock_timeout=5))
    story.plan()
    story.load(story.page(A, B))
    story.destination = DuckDBDestination(path, "sales", lock_timeout=5)
    story.destination.reconfigure("orders", "sales", TableSpec())
    story.shows(A, B)
    with duckdb.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM sales.sales.sales").fetchall() == [(2,)]
        sql = "SELECT schema_name, table_name FROM duckdb_tables() WHERE schema_name <> $1"
        assert connection.execute(sql, ["_connector"]).fetchall() == [("sales", "sales")]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DestinationRefused, match="it is a folder") as caught:
        DuckDBDestination(tmp_path, lock_timeout=5).tables()
    assert "Name a file" in caught.value.hint


def test_a_colon_in_a_path_is_no_scheme(tmp_path: Path) -> None:
    folder = tmp_path / "md:2024"
    folder.mkdir()
    whole_life(DuckDBDestination(folder / "s3:sales.duckdb", lock_timeout=5))
