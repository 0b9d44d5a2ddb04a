"""A published copy is complete, and nobody who writes the file waits for it."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from connector.core.publishing import Copied, Held
from connector.destinations.duckdb.file import DuckDBDestination
from connector.destinations.duckdb.publish import copying, place
from connector.destinations.duckdb.publish import publication as publishing
from connector.errors import Busy, ConnectorError, DestinationRefused, Interrupted
from connector.events import CopyPublished, Event
from connector.publishing import Publishing
from connector.stop import Stop
from tests.rigs import duckdb_file
from tests.rigs.combinations import amount

from .items import A2, A, B, C
from .story import Story, put

ORDERS = "SELECT id, n FROM orders ORDER BY id"

CHECKPOINTS = """
import duckdb, sys
with duckdb.connect(sys.argv[1]) as connection:
    connection.execute("CREATE OR REPLACE TABLE another AS SELECT range AS n FROM range(1000)")
"""
WRITES = """
import duckdb, sys
try:
    duckdb.connect(sys.argv[1]).close()
except duckdb.IOException:
    print("refused")
"""


def python(program: str, *arguments: object) -> str:
    """What another process prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def going() -> None:
    """Nothing keeps a copy from going on."""


@dataclass
class Published:
    """A loaded table in a file, and the place of its copies."""

    folder: Path
    story: Story

    @property
    def file(self) -> Path:
        return self.folder / "warehouse.duckdb"

    @property
    def copy(self) -> Path:
        return self.folder / "read.duckdb"

    def publish(self, going: Callable[[], None] = going) -> Copied | Held | None:
        copies = self.story.destination.copies
        assert copies is not None
        return copies.publish(going)

    def again(self) -> DuckDBDestination:
        """The destination as the next run opens it."""
        return DuckDBDestination(self.file, lock_timeout=5, publish=self.copy)

    def orders(self) -> list[tuple[str, int]]:
        """The rows of the copy."""
        return duckdb_file.read(self.copy, ORDERS)

    def names(self) -> set[str]:
        """What is in the folder."""
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def published(tmp_path: Path) -> Published:
    destination = DuckDBDestination(
        tmp_path / "warehouse.duckdb", lock_timeout=5, publish=tmp_path / "read.duckdb"
    )
    story = Story(destination)
    story.plan()
    story.load(story.page(A))
    return Published(tmp_path, story)


@pytest.fixture
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of some hundred KB is copied in many portions, however the file system can clone."""
    monkeypatch.setattr(copying, "_AT_ONCE", 4096)
    monkeypatch.setattr(publishing, "cloned", lambda source, copy: False)


def test_a_copy_has_the_rows_and_the_state_and_needs_no_log(published):
    published.story.tail(put(B))
    found = published.publish()
    assert isinstance(found, Copied) and found.path == published.copy
    assert found.size == published.file.stat().st_size
    assert published.orders() == [("a", 1), ("b", 3)]
    assert duckdb_file.read(published.copy, "SELECT phase FROM _connector.tables") == [("tailing",)]
    assert published.names() == {"warehouse.duckdb", "read.duckdb"}
    assert stat.S_IMODE(published.copy.stat().st_mode) == 0o600


def test_what_is_published_already_is_not_published_again(published):
    assert published.publish()
    inode = published.copy.stat().st_ino
    assert published.publish() is None
    published.story.destination = published.again()
    assert published.publish() is None
    assert published.copy.stat().st_ino == inode
    published.story.tail(put(B))
    assert published.publish()
    assert published.copy.stat().st_ino != inode
    published.copy.unlink()
    assert published.publish()
    assert published.orders() == [("a", 1), ("b", 3)]


def test_a_copy_says_of_when_it_is(published):
    copies = published.story.destination.copies
    assert copies.newest() is None
    published.publish()
    first = copies.newest()
    published.story.tail(put(B))
    published.publish()
    assert published.again().copies.newest() == copies.newest() > first


def test_a_reader_keeps_the_copy_that_it_has_opened(published):
    published.publish()
    with duckdb_file.opened(published.copy, read_only=True) as reader:
        published.story.tail(put(A2))
        assert published.publish()
        assert reader.execute(ORDERS).fetchall() == [("a", 1)]
    assert published.orders() == [("a", 2)]


@pytest.mark.usefixtures("small_portions")
def test_commits_go_on_while_a_copy_is_made_and_are_not_in_it(published):
    numbers = iter(range(10, 20))

    def commits() -> None:
        if (n := next(numbers, None)) is not None:
            published.story.tail(put({**A, "n": {"N": str(n)}}), put({"id": {"S": f"new {n}"}}))

    assert published.publish(commits)
    assert next(numbers, None) is None
    assert published.orders() == [("a", 1)]
    assert published.publish()
    assert published.orders()[0] == ("a", 19)
    assert len(published.orders()) == 11
    assert published.names() == {"warehouse.duckdb", "read.duckdb"}


@pytest.mark.usefixtures("small_portions")
def test_a_load_during_a_copy_is_not_in_it(published):
    items = [{"id": {"S": str(n)}, "text": {"S": str(n) * 50}} for n in range(30_000)]
    loads = iter([1])

    def load() -> None:
        if next(loads, None):
            published.story.refresh()
            published.story.load(published.story.page(*items))

    assert published.publish(load)
    assert published.orders() == [("a", 1)]
    assert published.publish()
    assert len(published.orders()) == len(items)


@pytest.mark.usefixtures("small_portions")
def test_the_file_stays_locked_for_other_processes_while_a_copy_is_made(published):
    asked: list[str] = []

    def writes() -> None:
        if not asked:
            file = published.story.destination._file
            with file.open():
                asked.append(python(WRITES, published.file))

    assert published.publish(writes)
    assert asked == ["refused"]


@pytest.mark.usefixtures("small_portions")
def test_a_file_that_another_process_writes_is_copied_anew(published):
    others = iter([CHECKPOINTS])

    def another() -> None:
        for program in others:
            python(program, published.file)

    assert published.publish(another)
    assert duckdb_file.read(published.copy, "SELECT count(*) FROM another") == [(1000,)]
    assert published.orders() == [("a", 1)]


@pytest.mark.usefixtures("small_portions")
def test_a_file_that_another_process_writes_again_and_again_is_left_for_later(published):
    before = published.publish()
    assert before
    published.story.tail(put(B))
    with pytest.raises(Busy, match="too often"):
        published.publish(lambda: python(CHECKPOINTS, published.file) and None)
    assert published.orders() == [("a", 1)]
    assert published.names() == {"warehouse.duckdb", "read.duckdb"}
    assert published.publish()
    assert published.orders() == [("a", 1), ("b", 3)]


@pytest.mark.usefixtures("small_portions")
def test_a_copy_that_is_given_up_leaves_nothing(published):
    published.publish()
    published.story.tail(put(B))

    def ends() -> None:
        published.story.tail(put(C))
        raise Interrupted("It ends.")

    with pytest.raises(Interrupted):
        published.publish(ends)
    assert published.orders() == [("a", 1)]
    assert published.names() == {"warehouse.duckdb", "read.duckdb"}
    published.story.shows(A, B, C)


def test_nothing_is_published_while_a_table_needs_a_person(published):
    published.publish()
    published.story.tail(put(B))
    published.story.destination.note("orders", "HistoryLost: changes are lost.")
    found = published.publish()
    assert isinstance(found, Held) and "orders needs a person" in found.text
    assert published.orders() == [("a", 1)]
    published.story.destination.note("orders", None)
    assert published.publish()
    assert published.orders() == [("a", 1), ("b", 3)]


def test_nothing_is_published_while_a_table_is_half_there(published):
    published.publish()
    other = Story(published.story.destination, table="users", target="users")
    other.plan()
    other.tail(put(A))
    found = published.publish()
    assert isinstance(found, Held) and "users is being read" in found.text
    other.load(other.page(A, B))
    assert published.publish()
    assert duckdb_file.read(published.copy, "SELECT count(*) FROM users") == [(2,)]


def test_a_file_without_tables_is_not_published(tmp_path):
    destination = DuckDBDestination(tmp_path / "w.duckdb", publish=tmp_path / "read.duckdb")
    assert destination.copies.publish(going) is None
    duckdb.connect(tmp_path / "w.duckdb").close()
    assert destination.copies.publish(going) is None
    assert not (tmp_path / "read.duckdb").exists()


def folder(published: Published) -> None:
    published.copy.mkdir()


def link(published: Published) -> None:
    (published.folder / "elsewhere").write_text("mine")
    published.copy.symlink_to("elsewhere")


def broken_link(published: Published) -> None:
    published.copy.symlink_to("nowhere")


def pipe(published: Published) -> None:
    os.mkfifo(published.copy)


def text(published: Published) -> None:
    published.copy.write_text("mine")


def long_text(published: Published) -> None:
    published.copy.write_text("mine" * 50_000)


def foreign(published: Published) -> None:
    with duckdb.connect(published.copy) as connection:
        connection.execute("CREATE TABLE mine AS SELECT 1 AS n")


def warehouse(published: Published) -> None:
    story = Story(DuckDBDestination(published.copy))
    story.plan()
    story.load(story.page(A))


def hard_link(published: Published) -> None:
    published.copy.hardlink_to(published.file)


def written(published: Published) -> None:
    published.publish()
    with duckdb.connect(published.copy) as connection:
        connection.execute("CREATE TABLE mine AS SELECT 1 AS n")


def copy_of_another(published: Published) -> None:
    other = published.folder / "another.duckdb"
    shutil.copyfile(published.file, other)
    assert DuckDBDestination(other, publish=published.copy).copies.publish(going)


def with_a_log(published: Published) -> None:
    published.publish()
    (published.folder / "read.duckdb.wal").write_text("written")


def log_alone(published: Published) -> None:
    (published.folder / "read.duckdb.wal").write_text("written")


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (folder, "is a folder"),
        (link, "is a symbolic link"),
        (broken_link, "is a symbolic link"),
        (pipe, "is no ordinary file"),
        (text, "is not a copy"),
        (long_text, "is not a copy"),
        (foreign, "is not a copy"),
        (warehouse, "is not a copy"),
        (hard_link, "is the DuckDB file itself"),
        (written, "was changed since|is not a copy"),
        (copy_of_another, "is a copy of another file"),
        (with_a_log, "somebody has written"),
        (log_alone, "somebody has written"),
    ],
)
def test_what_the_connector_has_not_published_is_not_replaced(published, made, says):
    made(published)
    published.story.tail(put(B))
    before = {name: os.lstat(published.folder / name).st_ino for name in published.names()}
    copies = published.again().copies
    for tried in (copies.refuse, copies.check, lambda: copies.publish(going)):
        with pytest.raises(DestinationRefused, match=says) as found:
            tried()
        assert found.value.hint
    assert copies.newest() is None
    assert before == {name: os.lstat(published.folder / name).st_ino for name in before}
    published.story.shows(A, B)


def test_an_empty_file_may_be_replaced_and_keeps_its_permissions(published):
    published.copy.touch()
    published.copy.chmod(0o640)
    assert published.publish()
    assert stat.S_IMODE(published.copy.stat().st_mode) == 0o640
    assert published.orders() == [("a", 1)]


def test_whom_the_owner_lets_read_a_copy_may_read_the_next(published):
    published.publish()
    published.copy.chmod(0o644)
    published.story.tail(put(B))
    published.publish()
    assert stat.S_IMODE(published.copy.stat().st_mode) == 0o644


def test_a_file_that_was_moved_publishes_on(published):
    published.publish()
    moved = published.folder / "moved.duckdb"
    published.file.rename(moved)
    story = Story(DuckDBDestination(moved, publish=published.copy))
    story.cursor, story.plan_id, story.generation = (
        published.story.cursor,
        published.story.plan_id,
        published.story.generation,
    )
    story.tail(put(B))
    assert story.destination.copies.publish(going)
    assert published.orders() == [("a", 1), ("b", 3)]


def test_a_folder_that_does_not_exist_is_refused(published):
    copies = DuckDBDestination(published.file, publish=published.folder / "no" / "r").copies
    with pytest.raises(DestinationRefused, match="does not exist"):
        copies.refuse()


def test_what_a_killed_run_has_left_is_removed(published):
    left = published.folder / ".read.duckdb.connector-copy"
    left.write_bytes(b"half of it")
    assert published.publish()
    assert published.names() == {"warehouse.duckdb", "read.duckdb"}
    assert published.orders() == [("a", 1)]


@pytest.mark.usefixtures("small_portions")
def test_only_one_run_at_a_time_publishes(published):
    refused: list[ConnectorError] = []
    other = published.again()

    def another() -> None:
        if not refused:
            published.story.tail(put(B))
            try:
                other.copies.publish(going)
            except ConnectorError as error:
                refused.append(error)

    assert published.publish(another)
    (error,) = refused
    assert isinstance(error, Busy) and "Another run is publishing" in error.message
    assert other.copies.publish(going)
    assert published.orders() == [("a", 1), ("b", 3)]


@pytest.mark.parametrize("means", copying._MEANS)
def test_every_mean_copies_every_byte_and_leaves_holes(means, tmp_path, monkeypatch):
    monkeypatch.setattr(copying, "_MEANS", (means,))
    size = 5 * 1024**2 + 17
    with (tmp_path / "from").open("w+b") as source, (tmp_path / "to").open("w+b") as copy:
        source.write(b"a" * 70_000)
        source.seek(4 * 1024**2)
        source.write(os.urandom(100_000))
        source.truncate(size)
        source.flush()
        copying.copy_bytes(source.fileno(), copy.fileno(), size, going)
    assert (tmp_path / "from").read_bytes() == (tmp_path / "to").read_bytes()
    assert (tmp_path / "to").stat().st_blocks * 512 < size


def test_a_mean_that_the_file_system_refuses_is_passed_over(tmp_path, monkeypatch):
    def refused(source: int, copy: int, at: int, count: int) -> int:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(copying, "_MEANS", (refused, lambda *_: 0, copying._read_and_written))
    (tmp_path / "from").write_bytes(b"b" * 300_000)
    with (tmp_path / "from").open("rb") as source, (tmp_path / "to").open("w+b") as copy:
        copying.copy_bytes(source.fileno(), copy.fileno(), 300_000, going)
    assert (tmp_path / "to").read_bytes() == b"b" * 300_000


def test_a_file_that_is_shorter_than_it_was_is_noticed(tmp_path):
    (tmp_path / "from").write_bytes(b"b" * 1000)
    with (
        (tmp_path / "from").open("rb") as source,
        (tmp_path / "to").open("w+b") as copy,
        pytest.raises(copying.Shorter),
    ):
        copying.copy_bytes(source.fileno(), copy.fileno(), 2000, going)


def test_a_full_disk_leaves_the_last_copy(published, monkeypatch):
    published.publish()
    published.story.tail(put(B))

    def full(source: int, copy: int) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publishing, "cloned", full)
    with pytest.raises(ConnectorError, match="no room") as found:
        published.publish()
    assert found.value.exit_code == 4
    assert published.names() == {"warehouse.duckdb", "read.duckdb"}
    assert published.orders() == [("a", 1)]
    published.story.tail(put(C))
    published.story.shows(A, B, C)


def test_a_name_that_is_too_long_is_refused(published):
    copies = DuckDBDestination(published.file, publish=published.folder / ("r" * 250)).copies
    with pytest.raises(DestinationRefused, match="too long"):
        copies.check()


def test_listeners_hear_of_each_copy(published):
    heard: list[Event] = []
    copies = published.story.destination.copies
    with Publishing(copies, Stop.never(), listener=heard.append):
        published.story.tail(put(B))
    with Publishing(copies, Stop.never(), listener=heard.append):
        pass
    (event,) = heard
    assert isinstance(event, CopyPublished)
    assert event.size == published.file.stat().st_size
    assert event.seconds >= 0


READS = """
import duckdb, pathlib, sys
copy, end, seen = sys.argv[1], pathlib.Path(sys.argv[2]), set()
print("ready", flush=True)
while not end.exists():
    with duckdb.connect(copy, read_only=True) as connection:
        rows = connection.execute("SELECT count(DISTINCT n), max(n) FROM orders").fetchone()
        assert rows[0] == 1, rows
        seen.add(rows[1])
print(len(seen))
"""


def test_readers_in_python_see_whole_copies_only_while_it_is_replaced_again_and_again(published):
    times = amount(50, by_turns=15)
    end = published.folder / "end"
    rows = [{"id": {"S": each}} for each in "abcdef"]
    published.story.tail(*(put({**row, "n": {"N": "0"}}) for row in rows))
    published.publish()
    inside = duckdb.connect(str(published.copy), read_only=True)
    reader = subprocess.Popen(
        [sys.executable, "-c", READS, str(published.copy), str(end)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout.readline() == "ready\n"
    for n in range(1, times + 1):
        published.story.tail(*(put({**row, "n": {"N": str(n)}}) for row in rows))
        assert isinstance(published.publish(), Copied)
    end.touch()
    seen, wrong = reader.communicate(timeout=120)
    assert reader.returncode == 0, wrong
    assert int(seen) >= 1
    # Whoever holds a copy open still reads that one.
    assert inside.execute("SELECT max(n) FROM orders").fetchone() == (0,)
    inside.close()
    assert duckdb_file.read(published.copy, "SELECT max(n) FROM orders") == [(times,)]
    assert published.names() == {"warehouse.duckdb", "read.duckdb", "end"}


def test_a_copy_may_be_in_another_file_system(published):
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == published.folder.stat().st_dev:
        pytest.skip("there is no other file system")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        copy = Path(folder) / "read.duckdb"
        copies = DuckDBDestination(published.file, publish=copy).copies
        for each in (A2, B):
            published.story.tail(put(each))
            found = copies.publish(going)
            assert isinstance(found, Copied) and not found.shared
        assert duckdb_file.read(copy, "SELECT count(*) FROM orders") == [(2,)]
        assert [path.name for path in Path(folder).iterdir()] == ["read.duckdb"]


def test_a_folder_may_be_a_symbolic_link_and_the_copy_may_not(published):
    real = published.folder / "real"
    real.mkdir()
    (published.folder / "link").symlink_to(real)
    copy = published.folder / "link" / "read.duckdb"
    copies = DuckDBDestination(published.file, publish=copy).copies
    assert isinstance(copies.publish(going), Copied)
    assert duckdb_file.read(real / "read.duckdb", ORDERS) == [("a", 1)]
    (real / "elsewhere.duckdb").touch()
    copy.unlink()
    copy.symlink_to(real / "elsewhere.duckdb")
    published.story.tail(put(B))
    with pytest.raises(DestinationRefused, match="symbolic link"):
        copies.publish(going)
    assert (real / "elsewhere.duckdb").stat().st_size == 0


@pytest.mark.parametrize("link", ["hard", "symbolic"])
def test_the_file_itself_under_another_name_is_no_place(published, link):
    other = published.folder / "other.duckdb"
    if link == "hard":
        other.hardlink_to(published.file)
        copies = DuckDBDestination(published.file, publish=other).copies
    else:
        other.symlink_to(published.file)
        copies = DuckDBDestination(other, publish=published.file).copies
    before = published.file.read_bytes()
    with pytest.raises(DestinationRefused, match=r"itself|not a copy"):
        copies.publish(going)
    assert published.file.read_bytes() == before


def test_check_tries_it_and_leaves_nothing(published):
    needs = {need.check: need for need in published.story.destination.check()}
    assert needs["publish"].error is None
    assert "not published yet" in needs["publish"].detail
    assert published.names() == {"warehouse.duckdb"}
    assert place.Place(published.copy, published.file).found() is None
