"""What only a DuckDB file can get wrong: locks, kills, damaged files, columns changed by hand."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.core.cursors import Quarantined
from connector.core.keys import KeyAttribute
from connector.destinations.duckdb import DuckDBDestination
from connector.destinations.duckdb_errors import DiskFull, duckdb_errors
from connector.destinations.sql import duckdb_fold, quoted
from connector.errors import (
    Busy,
    ConfigError,
    ConnectorError,
    CursorMoved,
    DestinationRefused,
    StateRefused,
    Transient,
)
from connector.failpoints import VARIABLE

from .history import FAILPOINTS, FINAL, tell
from .story import EPOCH, SHARD, Story, delete, put

A = {"id": {"S": "a"}, "n": {"N": "1"}}
B = {"id": {"S": "b"}, "n": {"N": "2"}}
SECRET = "a-secret-value"


def _has_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


@pytest.fixture
def story(path: Path) -> Story:
    told = Story(DuckDBDestination(path, lock_timeout=0.2, run_id="run-1", command="sync"))
    told.plan()
    return told


def by_hand(path: Path, *statements: str) -> list[tuple]:
    """Runs statements as another user of the file would; returns the last answer."""
    with duckdb.connect(path) as connection:
        for statement in statements[:-1]:
            connection.execute(statement)
        answer = connection.sql(statements[-1])
        return [tuple(row.values()) for row in answer.to_arrow_table().to_pylist()]


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


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_a_kill_leaves_nothing_half_done(path, failpoint):
    command = [sys.executable, "-m", "tests.destinations.history", str(path)]
    killed = subprocess.run(command, env=os.environ | {VARIABLE: failpoint}, check=False)
    assert killed.returncode == -signal.SIGKILL
    story = tell(str(path))
    story.shows(*FINAL)
    runs = story.destination.query("SELECT sum(commits) AS commits FROM _connector.runs")
    assert runs.to_pylist() == [{"commits": 5}]


def test_a_missing_file_is_not_made_by_reading(path):
    destination = DuckDBDestination(path)
    assert destination.read("orders") is None
    assert destination.tables() == []
    assert "DuckDB" in destination.check()
    destination.reset("orders", drop=True)
    with pytest.raises(DestinationRefused):
        destination.query("SELECT 1")
    assert list(path.parent.iterdir()) == []


def test_a_new_file_is_its_owners_alone(story, path):
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_missing_folder_is_refused(tmp_path):
    for use in (Story(DuckDBDestination(tmp_path / "no" / "w.duckdb")).plan,
                DuckDBDestination(tmp_path / "no" / "w.duckdb").check):  # fmt: skip
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
        DuckDBDestination(path).check,
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


def test_81_a_newer_state_is_refused_untouched(story, path):
    story.tail(put(A))
    by_hand(path, "UPDATE _connector.tables SET state_version = 2")
    before = by_hand(path, "FROM _connector.tables")
    destination = story.destination
    for use in (
        story.plan,
        story.refresh,
        story.state,
        destination.tables,
        destination.check,
        lambda: story.tail(put(B)),
        lambda: story.load(story.page(B)),
        lambda: destination.reset("orders", drop=True),
        lambda: list(destination.rows("orders")),
    ):
        with pytest.raises(StateRefused, match="version 2"):
            use()
    assert by_hand(path, "FROM _connector.tables") == before
    assert by_hand(path, "SELECT id FROM orders") == [("a",)]


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE _connector.tables",
        "DROP TABLE _connector.cursors",
        "ALTER TABLE _connector.cursors DROP token",
        "ALTER TABLE _connector.tables DROP generation",
        "ALTER TABLE _connector.tables ALTER generation TYPE TEXT USING 'x'",
        "ALTER TABLE _connector.tables ALTER state_version TYPE TEXT USING 'x'",
        "UPDATE _connector.tables SET phase = 'sleeping'",
        "UPDATE _connector.tables SET keys = '{'",
        "UPDATE _connector.tables SET planned_at = NULL",
        "UPDATE _connector.columns SET type = 'float'",
        "INSERT INTO _connector.tables FROM _connector.tables",
        "INSERT INTO _connector.cursors FROM _connector.cursors",
    ],
)
def test_81_a_damaged_state_is_refused(story, path, damage):
    by_hand(path, damage)
    with pytest.raises(StateRefused) as caught:
        story.state()
    assert caught.value.hint
    with pytest.raises(StateRefused):
        story.tail(put(A))
    assert by_hand(path, "SELECT count(*) FROM orders") == [(0,)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("ALTER TABLE orders DROP n", "'n' should be BIGINT and is gone"),
        ("ALTER TABLE orders ALTER n TYPE DOUBLE", "'n' should be BIGINT and is DOUBLE"),
        ("ALTER TABLE orders DROP _commit", "'_commit' should be BIGINT and is gone"),
        ("DROP TABLE orders", "gone"),
    ],
)
def test_a_column_changed_by_hand_is_refused(story, path, change, told):
    story.tail(put(A))
    by_hand(path, change)
    for use in (
        lambda: story.tail(put(B)),
        lambda: story.load(story.page(B)),
        lambda: list(story.destination.rows("orders")),
    ):
        with pytest.raises(DestinationRefused, match=re.escape(told)):
            use()


def test_a_column_added_by_hand_is_left_alone(story, path):
    story.tail(put(A))
    by_hand(path, "ALTER TABLE orders ADD COLUMN Mine VARCHAR DEFAULT 'x'")
    story.tail(put(B | {"mine": {"S": "theirs"}}), put(A | {"n": {"N": "3"}}))
    story.shows(A | {"n": {"N": "3"}}, B | {"mine": {"S": "theirs"}})
    story.load(story.page({"id": {"S": "c"}}))
    assert by_hand(path, "SELECT id, Mine FROM orders ORDER BY id") == [
        ("a", "x"),
        ("b", "x"),
        ("c", "x"),
    ]


def test_a_table_of_somebody_else_is_refused_untouched(path):
    by_hand(path, "CREATE TABLE Orders AS SELECT 'mine' AS id")
    with pytest.raises(DestinationRefused, match="not made by the connector") as caught:
        Story(DuckDBDestination(path)).plan()
    assert "into" in caught.value.hint
    assert by_hand(path, "FROM Orders") == [("mine",)]
    assert DuckDBDestination(path).tables() == []


def test_a_table_of_another_key_is_refused(story):
    story.tail(put(A))
    other = Story(story.destination, (KeyAttribute("id", "N"),))
    with pytest.raises(DestinationRefused, match="key"):
        other.plan("plan-2", "plan-1")
    story.destination.reset("orders", drop=False)
    with pytest.raises(DestinationRefused, match="another key"):
        other.plan()
    story.destination.reset("orders", drop=True)


def test_the_state_has_a_schema_of_its_own(path):
    with pytest.raises(DestinationRefused, match="_connector"):
        Story(DuckDBDestination(path, "_Connector")).plan()


def test_a_schema_is_made_where_absent(path):
    story = Story(DuckDBDestination(path, 'my "schema"'))
    story.plan()
    story.tail(put(A))
    assert by_hand(path, 'SELECT id FROM "my ""schema""".orders') == [("a",)]


def test_a_plan_may_move_the_table_elsewhere(story, path):
    story.load(story.page(A))
    last = story.state().commit
    story.target = "elsewhere"
    assert story.refresh().start_commit > last
    story.load(story.page(B))
    story.shows(B)
    assert by_hand(path, "SELECT id FROM orders") == [("a",)]


def test_service_columns_are_filled(story, path):
    story.tail(put(A))
    story.load(story.page(B))
    rows = by_hand(path, "SELECT id, _commit, epoch(_changed_at) FROM orders ORDER BY id")
    assert rows == [("a", 2, EPOCH.timestamp() + 1), ("b", 3, EPOCH.timestamp())]


def test_duplicates_of_a_load_are_repaired_with_every_column(story, path):
    by_hand(path, "ALTER TABLE orders ADD COLUMN mine VARCHAR DEFAULT 'x'")
    pages = [story.page(A, B | {"v": {"M": {"x": {"N": "1.50"}}}}), story.page(A, B)]
    pages.append(story.page(A | {"n": {"N": "9"}}, at=EPOCH.replace(year=2031)))
    assert story.load(*pages).written == 2
    assert by_hand(path, "SELECT id, _commit, mine FROM orders ORDER BY id") == [
        ("a", 2, "x"),
        ("b", 2, "x"),
    ]
    assert story.items()['["a"]']["n"] == "number 9"


def test_tombstones_and_quarantine_can_be_seen(story, path):
    story.tail(delete(A), quarantined=[Quarantined(SHARD, "why", "{}", '["a"]', "5")])
    assert by_hand(path, 'SELECT table_name, key, "commit" FROM _connector.tombstones') == [
        ("orders", '["a"]', 2)
    ]
    wanted = 'SELECT generation, "commit", partition, sequence, key, reason, raw'
    assert by_hand(path, f"{wanted} FROM _connector.quarantine") == [
        (1, 2, SHARD, "5", '["a"]', "why", "{}")
    ]
    story.load(story.page(A))
    assert by_hand(path, "FROM _connector.tombstones") == []


def test_runs_add_up(story, path):
    story.tail(put(A), put(B), quarantined=[Quarantined(SHARD, "why", "{}")])
    story.tail(delete(A))
    story.load(story.page({"id": {"S": "c"}}))
    with pytest.raises(CursorMoved):
        story.load(story.page(A))
    columns = "run_id, table_name, command, commits, written, deleted, quarantined"
    assert by_hand(path, f"SELECT {columns} FROM _connector.runs") == [
        ("run-1", "orders", "sync", 4, 3, 1, 1)
    ]


def test_a_query_can_only_read(story, tmp_path):
    story.tail(put(A))
    query = story.destination.query
    assert query("SELECT id FROM orders").to_pylist() == [{"id": "a"}]
    assert query("SELECT _changed_at FROM orders").schema.field(0).type.tz == "UTC"
    (tmp_path / "secret.csv").write_text("secret\n1\n")
    for refused in (
        "DELETE FROM orders",
        "SELECT nothing FROM orders",
        "SELEC",
        f"FROM read_csv('{tmp_path}/secret.csv')",
        f"COPY orders TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/other.duckdb'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
    ):
        with pytest.raises(ConfigError):
            query(refused)
    story.shows(A)
    assert not (tmp_path / "out.csv").exists()
    assert not (tmp_path / "other.duckdb").exists()


def test_no_error_quotes_a_value(story, path):
    story.tail(put({"id": {"S": SECRET}}))
    with pytest.raises(ConnectorError) as caught:
        story.destination.query("SELECT id::BIGINT FROM orders")
    assert SECRET not in str(caught.value)
    by_hand(path, "ALTER TABLE orders ADD COLUMN mine VARCHAR", "UPDATE orders SET mine = 'x'",
            "ALTER TABLE orders ALTER mine SET NOT NULL")  # fmt: skip
    with pytest.raises(DestinationRefused) as caught:
        story.tail(put({"id": {"S": SECRET + "2"}}))
    assert SECRET not in str(caught.value)
    story.shows({"id": {"S": SECRET}})


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


@settings(max_examples=60, deadline=None)
@given(names=st.lists(st.text(min_size=1).filter(_has_utf8), min_size=1, max_size=4))
def test_a_quoted_name_is_that_name_and_nothing_else(names):
    columns = {duckdb_fold(name): name for name in names}.values()
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t ({', '.join(f'{quoted(n)} INT' for n in columns)})")
        found = connection.execute("SELECT column_name FROM information_schema.columns").fetchall()
    assert [name for (name,) in found] == list(columns)


def test_an_empty_name_is_refused():
    with pytest.raises(DestinationRefused):
        quoted("main", "")


LOAD = """
import os, resource, sys
from pathlib import Path
import pyarrow as pa
from connector.core.rows import field_of
from connector.core.schema import STRING
from connector.destinations.duckdb import DuckDBDestination
from tests.destinations.story import Story

def pages():
    for number in range(60):
        times = story.page({"id": {"S": "x"}}).column("changed_at")
        yield pa.table(
            [[f"{number}-{row}" for row in range(10_000)],
             [os.urandom(700).hex() for row in range(10_000)],
             pa.chunked_array([pa.concat_arrays(times.chunks * 10_000)])],
            schema=pa.schema([field_of("id", STRING), field_of("text", STRING),
                              story.page().schema.field("changed_at")]))

story = Story(DuckDBDestination(Path(sys.argv[1])))
story.plan()
from connector.core.state import Load
from tests.destinations.story import EPOCH, SEGMENT
schema = {"id": STRING, "text": STRING}
load = Load("orders", 1, "plan-1", schema, [SEGMENT], EPOCH)
assert story.destination.load(load, pages(), []).written == 600_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_load_is_never_in_memory_as_a_whole(path):
    with child(LOAD, path) as process:
        peak = int(process.communicate()[0])
    assert path.stat().st_size > 600 * 2**20
    assert peak < 700 * 2**10
