"""One DuckDB runs on between two openings of a file, and the file is closed meanwhile."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import duckdb
import pytest

from connector.destinations.duckdb.file import DuckDBDestination
from connector.destinations.duckdb.session.connection import DuckDBFile
from connector.errors import ConnectorError, CursorMoved, DestinationRefused

from .items import A, B
from .story import Story, put

FORKED = """
import os, sys
from pathlib import Path
from connector.destinations.duckdb.file import DuckDBDestination
from tests.destinations.items import A, B
from tests.destinations.story import SHARD, Story, put
story = Story(DuckDBDestination(Path(sys.argv[1]), lock_timeout=5))
story.plan()
story.tail(put(A))
child = os.fork()
story.tail(put(A), put(B)) if child == 0 else os.waitpid(child, 0)
story.shows(A, B)
if child == 0:
    os._exit(0)
story.cursor = story.state().cursors[SHARD]
story.tail(put(A))
story.shows(A, B)
print(story.state().commit)
"""


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for which no DuckDB of an earlier test runs."""
    folder: Path = tmp_path_factory.mktemp("instance")
    return folder / "warehouse.duckdb"


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What DuckDB was started with, each time it was."""
    connect, seen = duckdb.connect, []

    def noted(*arguments: object, **more: object) -> duckdb.DuckDBPyConnection:
        seen.append(arguments)
        return connect(*arguments, **more)

    monkeypatch.setattr(duckdb, "connect", noted)
    return seen


def told(path: Path, table: str = "orders") -> Story:
    story = Story(DuckDBDestination(path, lock_timeout=5), table=table, target=table)
    story.plan()
    return story


def test_a_file_is_opened_again_and_again_in_one_duckdb(path: Path, starts: list[object]) -> None:
    story = told(path)
    story.tail(put(A), more=True)
    story.tail(put(B))
    story.load(story.page({"id": {"S": "c"}}))
    assert story.destination.count("orders") == 3
    assert [story.state().commit for _ in range(3)] == [4] * 3
    assert starts == [()]
    # A query of somebody else has a DuckDB of its own, which can write nothing at all.
    story.destination.query("SELECT 1")
    assert starts == [(), (path,)]


def test_a_second_file_takes_the_place_of_the_first(path: Path, starts: list[object]) -> None:
    other = path.with_name("other.duckdb")
    one, two = told(path), told(other)
    for story in (one, two, one):
        story.tail(put(A))
        story.shows(A)
    assert starts == [()] * 5


def test_two_files_are_used_by_two_threads(path: Path) -> None:
    stories = [told(path), told(path.with_name("other.duckdb"))]

    def tell(story: Story) -> None:
        for _ in range(10):
            story.tail(put(A))
            story.tail(put(B))

    threads = [Thread(target=tell, args=[story]) for story in stories]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for story in stories:
        story.shows(A, B)
        assert story.state().commit == 21


def test_after_an_error_it_is_another_one(path: Path, starts: list[object]) -> None:
    story = told(path)
    story.tail(put(A))
    with pytest.raises(CursorMoved):
        story.destination.commit(story.batch(put(B), generation=7))
    story.tail(put(B))
    story.shows(A, B)
    assert starts == [(), ()]


def test_a_reader_that_fails_leaves_the_others_their_file(path: Path) -> None:
    story = told(path)
    story.tail(put(A), put(B))
    rows = story.destination.rows("orders")
    next(rows)
    failing: list[ConnectorError] = []

    def fail() -> None:
        try:
            story.destination.count("others")
        except ConnectorError as error:
            failing.append(error)

    thread = Thread(target=fail)
    thread.start()
    thread.join()
    assert failing
    # What it has begun to read can be read on, and the file is free afterwards.
    assert list(rows) == []
    story.tail(put(A))
    with duckdb.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (2,)


def test_an_error_that_is_kept_does_not_keep_the_file(path: Path) -> None:
    """The frames that it came through are kept with it, and all that they hold."""
    story = told(path)
    story.tail(put(A))
    with duckdb.connect(path) as connection:
        connection.execute("ALTER TABLE _connector.cursors ALTER seen_at TYPE VARCHAR")
        connection.execute("UPDATE _connector.cursors SET seen_at = 'x'")
    with pytest.raises(ConnectorError) as caught:
        story.state()
    story.destination.note("orders", "why")
    assert caught.value.__traceback__ is not None
    with duckdb.connect(path) as connection:
        assert connection.execute("SELECT problem FROM _connector.tables").fetchone() == ("why",)


@pytest.mark.parametrize("read", [lambda path: f"read_text('{path}')", lambda path: f"'{path}'"])
def test_no_other_file_is_read(path: Path, tmp_path: Path, read: Callable[[Path], str]) -> None:
    """Not even by a view that an analyst has put in the place of a table."""
    (tmp_path / "secret.csv").write_text("id\nsecret\n")
    story = told(path)
    story.tail(put(A))
    with duckdb.connect(path) as connection:
        connection.execute("DROP TABLE orders")
        connection.execute(f"CREATE VIEW orders AS SELECT * FROM {read(tmp_path / 'secret.csv')}")
    with pytest.raises(ConnectorError):
        story.destination.count("orders")
    with pytest.raises(ConnectorError):
        story.tail(put(B))


@pytest.mark.parametrize("name", ["link.duckdb", "folder/../it's.duckdb"])
def test_a_path_in_another_spelling_is_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.duckdb").symlink_to("folder/real.duckdb")
    monkeypatch.chdir(tmp_path)
    story = told(Path(name))
    story.tail(put(A))
    story.shows(A)
    story.tail(put(B))
    story.shows(A, B)
    assert not list(tmp_path.rglob("*.wal"))


def test_a_path_is_of_the_folder_that_the_program_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, item in (("one", A), ("two", B)):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        story = told(Path("warehouse.duckdb"))
        story.tail(put(item))
        story.shows(item)
    assert len(list(tmp_path.rglob("warehouse.duckdb"))) == 2


def test_a_file_that_was_replaced_is_the_new_one(path: Path) -> None:
    story, other = told(path), told(path.with_name("other.duckdb"))
    story.tail(put(A))
    other.tail(put(B))
    path.with_name("other.duckdb").replace(path)
    story.shows(B)
    path.unlink()
    assert story.destination.read("orders") is None
    assert not path.exists()


def test_a_fork_has_one_of_its_own(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stdout == "4\n", done.stderr


def test_a_file_for_which_the_memory_is_too_little_is_not_left_open(path: Path) -> None:
    file = DuckDBFile(path, threads=1, memory_limit="1KB", lock_timeout=2.0)
    kept = []
    for _ in range(3):
        with pytest.raises(DestinationRefused, match="more memory") as caught, file.open():
            pass
        # An error that is still there must not keep the file open either.
        kept.append(caught)
    enough = DuckDBFile(path, threads=1, memory_limit="1GB", lock_timeout=2.0)
    with enough.open() as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
