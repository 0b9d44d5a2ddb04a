"""A DuckDB file that is held, damaged, absent, or whose writer is killed."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread

import duckdb
import pytest

from connector.destinations.duckdb.file import DuckDBDestination
from connector.destinations.duckdb.session.errors import DiskFull, duckdb_errors
from connector.errors import (
    Busy,
    CursorMoved,
    DestinationRefused,
    Transient,
)
from tests.rigs.combinations import turn

from .history import FAILPOINTS, FINAL, killed_at, tell
from .items import SECRET, A, B
from .needs import checked
from .story import SHARD, Story, put


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


@pytest.fixture
def story(path: Path) -> Story:
    told = Story(DuckDBDestination(path, lock_timeout=0.2, run_id="run-1", command="sync"))
    told.plan()
    return told


def child(code: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Another Python process."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


HOLDER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "reading")
print("held", flush=True)
sys.stdin.read(1)
connection.close()
"""


@pytest.mark.parametrize("mode", ["reading", "writing"])
def test_a_file_that_stays_held_names_its_holder(story, path, mode):
    with child(HOLDER, path, mode) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Busy, match=rf"process {holder.pid} \(.*python.*\)") as caught:
            story.tail(put(A))
        assert isinstance(caught.value, Transient)
        assert caught.value.hint
        if mode == "reading":
            assert story.state().generation == 1
        holder.communicate("x")
    story.tail(put(A))
    story.shows(A)


def test_a_file_that_is_released_in_time_is_used(story, path):
    patient = Story(DuckDBDestination(path, lock_timeout=60), plan_id="plan-1", generation=1)
    with child(HOLDER, path, "writing") as holder:
        assert holder.stdout.readline() == "held\n"
        waiting = Thread(target=patient.tail, args=[put(A)])
        waiting.start()
        holder.communicate("x")
        waiting.join()
    patient.shows(A)


def test_readers_get_in_between_commits(story, path):
    reader = "import duckdb, sys; print(*duckdb.connect(sys.argv[1], read_only=True).execute(\n"
    reader += "'SELECT count(*) FROM orders').fetchone())"
    for count, item in enumerate((A, B), start=1):
        story.tail(put(item))
        with child(reader, path) as process:
            assert process.communicate()[0] == f"{count}\n"


def test_two_writers_of_one_process_take_turns(story, path):
    batches = [story.batch(put(A)), story.batch(put(A))]
    outcomes: list[object] = []
    patient = DuckDBDestination(path)

    def commit(batch):
        try:
            outcomes.append(patient.commit(batch).commit)
        except CursorMoved as error:
            outcomes.append(error)

    threads = [Thread(target=commit, args=[batch]) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(isinstance(outcome, CursorMoved) for outcome in outcomes) == [False, True]


def test_reading_goes_on_while_rows_are_read(story):
    story.tail(put(A), put(B))
    batches = story.destination.rows("orders")
    next(batches)
    assert story.state().commit == 2
    with pytest.raises(Busy):
        story.tail(put(A))
    batches.close()
    story.cursor = story.state().cursors[SHARD]
    story.tail(put(A))


# By turns every third place; a Postgres is killed at another third.
@pytest.mark.parametrize("failpoint", turn(FAILPOINTS, 0, at_once=4))
def test_a_kill_leaves_nothing_half_done(path, failpoint):
    assert killed_at(failpoint, str(path)) == -signal.SIGKILL
    story = tell(str(path))
    story.shows(*FINAL)
    runs = story.destination.query("SELECT sum(commits) AS commits FROM _connector.runs")
    assert runs.to_pylist() == [{"commits": 5}]


def test_a_missing_file_is_not_made_by_reading(path):
    destination = DuckDBDestination(path)
    assert destination.read("orders") is None
    assert destination.tables() == []
    assert "DuckDB" in checked(destination)
    destination.reset("orders", drop=True)
    with pytest.raises(DestinationRefused):
        destination.query("SELECT 1")
    assert list(path.parent.iterdir()) == []


def test_a_file_that_was_cut_off_is_damaged(story, path):
    story.tail(put(A))
    path.write_bytes(path.read_bytes()[:4096])
    with pytest.raises(DestinationRefused, match=r"is not a DuckDB file, or is damaged\."):
        story.state()


def test_a_new_file_is_its_owners_alone(story, path):
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_missing_folder_is_refused(tmp_path):
    for use in (Story(DuckDBDestination(tmp_path / "no" / "w.duckdb")).plan,
                lambda: checked(DuckDBDestination(tmp_path / "no" / "w.duckdb"))):  # fmt: skip
        with pytest.raises(DestinationRefused, match=r"folder .* does not exist"):
            use()


@pytest.mark.parametrize("content", [b"", b"not a database" * 1000, "folder"])
def test_what_is_no_duckdb_file_is_refused_untouched(path, content):
    if isinstance(content, str):
        path.mkdir()
    else:
        path.write_bytes(content)
    for use in (
        Story(DuckDBDestination(path)).plan,
        lambda: checked(DuckDBDestination(path)),
        DuckDBDestination(path).tables,
    ):
        with pytest.raises(DestinationRefused, match=re.escape(str(path))):
            use()
    assert path.is_dir() or path.read_bytes() == content


def test_a_damaged_file_is_refused(story, path):
    content = bytearray(path.read_bytes())
    content[:8] = b"damaged!"
    path.write_bytes(content)
    with pytest.raises(DestinationRefused, match="damaged"):
        DuckDBDestination(path).read("orders")


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (duckdb.IOException('Could not write file "x": No space left on device'), DiskFull),
        (duckdb.OutOfMemoryException(f"failed to pin {SECRET}"), DestinationRefused),
        (duckdb.IOException("with version number 99, but we can only read 64"), DestinationRefused),
        (duckdb.IOException(f"unknown {SECRET}"), DestinationRefused),
        (duckdb.InternalException(f"unknown {SECRET}"), DestinationRefused),
        (duckdb.ConnectionException("... with a different configuration than ..."), Busy),
    ],
)
def test_errors_of_duckdb_become_ours(path, error, wanted):
    with pytest.raises(wanted) as caught, duckdb_errors(path):
        raise error
    assert caught.value.hint
    assert caught.value.__cause__ is error
    assert SECRET not in str(caught.value)


FILL = """
import os, sys
from pathlib import Path
from connector.destinations.duckdb.file import DuckDBDestination
from connector.errors import DiskFull
from tests.destinations.items import A, B
from tests.destinations.story import Story, put

def wide(number):
    return {"id": {"S": str(number)}, "text": {"S": os.urandom(1000).hex()}}

def story():
    state = Story(DuckDBDestination(Path(sys.argv[1])))
    state.plan_id, state.generation = "plan-1", 1
    if known := state.destination.read("orders"):
        state.cursor = known.cursors["shard/a"]
    return state

first = story()
first.plan()
first.tail(put(A))
for step in (
    lambda: first.load(*(first.page(*map(wide, range(n, n + 1000))) for n in range(0, 9000, 1000))),
    lambda: first.tail(*(put(wide(number)) for number in range(9000))),
):
    try:
        step()
    except DiskFull as error:
        print(error.exit_code, len(error.hint) > 0)
    story().shows(A)
again = story()
again.sequence = 1
again.tail(put(B))
again.load(again.page({"id": {"S": "c"}}))
again.shows(A, B, {"id": {"S": "c"}})
print("mended")
"""


def test_a_full_disk_is_told_and_leaves_nothing_half_written(tmp_path):
    script = 'mount -t tmpfs -o size=6m none "$1" || exit 99; exec "$2" -c "$3" "$1/small.duckdb"'
    shell = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh"]
    done = subprocess.run(
        [*shell, str(tmp_path), sys.executable, FILL], capture_output=True, text=True, check=False
    )
    if done.returncode == 99 or "unshare" in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr}")
    assert done.stdout.splitlines() == ["4 True", "4 True", "mended"], done.stderr


WIDENED = """
import os, signal, sys
from pathlib import Path
from connector.destinations.duckdb.file import DuckDBDestination
from connector.destinations.duckdb.session import connection, gate
from tests.destinations.story import Story, put
from tests.destinations.test_duckdb_file import MIXED, NARROW
# The last commit's file stays open, and its log unread, however busy the machine is.
connection.KEPT_SECONDS = gate.KEPT_SECONDS = 300.0
story = Story(DuckDBDestination(Path(sys.argv[1]), storage_version=sys.argv[2] or None))
story.plan()
story.tail(put(NARROW))
story.tail(put(MIXED), more=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
NARROW = {
    "id": {"S": "narrow"},
    "text": {"S": "it's"},
    "number": {"N": "7"},
    "price": {"N": "9.75"},
    "flag": {"BOOL": True},
    "raw": {"B": "AAEC"},
}
MIXED = {name: {"L": []} for name in NARROW} | {"id": {"S": "mixed"}, "new": {"M": {}}}


@pytest.fixture(scope="module", params=["", "1.2"])
def widened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as a killed commit left it, with its log."""
    path: Path = tmp_path_factory.mktemp("widened") / "warehouse.duckdb"
    killed = subprocess.run([sys.executable, "-c", WIDENED, str(path), request.param], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    return path


@pytest.mark.parametrize("writes", [False, True], ids=["by a reader", "by a writer"])
def test_columns_that_a_killed_commit_made_json_are_there(widened, path, writes):
    """What DuckDB has in its log for them is read before it knows JSON."""
    for each in widened.parent.iterdir():
        shutil.copyfile(each, path.with_name(each.name))
    log = path.with_name(path.name + ".wal")
    assert b"to_json" in log.read_bytes()
    told = Story(DuckDBDestination(path, lock_timeout=5))
    if writes:
        told.destination.note("orders", "why")
    assert {column.type.kind.value for column in told.state().columns.values()} == {
        "string",
        "json",
    }
    told.shows(NARROW, MIXED)
    # Whoever writes brings the log into the file, and so does a query: it opens the file alone.
    assert log.exists() is not writes
    assert told.destination.query("SELECT count(*) AS n FROM orders").to_pylist() == [{"n": 2}]
    assert not log.exists()
