"""A copy for readers: published at the end of a run and now and then, and never half."""

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector import failpoints
from tests.pipeline.replica import ORDERS, SCHEMA, order
from tests.rigs import duckdb_file
from tests.rigs.combinations import amount
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB

from .program import COMMAND, Program, assert_one_sentence, ended, fingerprints, wait_until

pytestmark = pytest.mark.xdist_group("cli_publish")

COPY = "read.duckdb"
READERS = amount(10, by_turns=4)
HOLDS = """
import duckdb, sys
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    print(connection.execute("SELECT n FROM orders WHERE id = '0'").fetchone()[0], flush=True)
    sys.stdin.read()
    print(connection.execute("SELECT n FROM orders WHERE id = '0'").fetchone()[0], flush=True)
"""
LOOKS = """
import duckdb, pathlib, sys
path, seen = pathlib.Path(sys.argv[1]), set()
print("ready", flush=True)
while not pathlib.Path(sys.argv[2]).exists():
    with duckdb.connect(path, read_only=True) as connection:
        count, newest = connection.execute("SELECT count(*), max(_commit) FROM orders").fetchone()
        state = connection.execute('SELECT phase, "commit" FROM _connector.tables').fetchone()
        assert count >= 3 and state[0] == "tailing" and newest <= state[1], (count, newest, state)
        seen.add(state[1])
print(len(seen))
"""


@pytest.fixture
def rig() -> Iterator[ScriptedDynamoDB]:
    """A table of three orders, which each test has for itself."""
    with ScriptedDynamoDB(clock=RunningClock()) as running:
        running.create_table(ORDERS, SCHEMA).put(*(order(n, n) for n in range(3)))
        yield running


@pytest.fixture(autouse=True)
def no_faults() -> None:
    """Each test begins without faults."""


@pytest.fixture
def program(rig: ScriptedDynamoDB, tmp_path: Path) -> Program:
    """The program, which publishes."""
    return Program(tmp_path, rig.url, {"CONNECTOR_DESTINATION__PUBLISH": COPY})


def numbers(program: Program) -> dict[str, int]:
    """The orders in the copy, as another process finds them."""
    return dict(duckdb_file.read(program.folder / COPY, "SELECT id, n FROM orders"))


def names(program: Program) -> set[str]:
    """What is in the folder, except for the spool."""
    return {path.name for path in program.folder.iterdir()} - {".connector"}


def test_a_run_publishes_what_it_has_committed(program, rig):
    done = program("sync", ORDERS, *program.to)
    assert done.code == 0, done.stderr
    copy = program.folder / COPY
    assert numbers(program) == {"0": 0, "1": 1, "2": 2}
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    ((since,),) = duckdb_file.read(
        copy, "SELECT consistent_since IS NOT NULL FROM _connector.tables"
    )
    assert since
    (said,) = [line for line in done.stderr.splitlines() if "published" in line]
    assert COPY in said and " MB in " in said
    assert names(program) == {COPY, "warehouse.duckdb"}
    rig.table(ORDERS).put(order(0, 7))
    assert program("tail", ORDERS, *program.to).code == 0
    assert numbers(program)["0"] == 7
    rig.table(ORDERS).put(order(0, 8))
    assert program("verify", ORDERS, *program.to).code == 0
    assert numbers(program)["0"] == 8
    assert program("snapshot", ORDERS, "--full-refresh", *program.to).code == 0
    ((generation,),) = duckdb_file.read(copy, "SELECT generation FROM _connector.tables")
    assert generation == 2
    assert program("reset", ORDERS, "--drop", "--yes", *program.to).code == 0
    assert numbers(program)["0"] == 8, "nothing is left to publish"


def test_a_repair_is_published(program):
    assert program("sync", ORDERS, *program.to).code == 0
    with duckdb_file.opened(program.file) as connection:
        connection.execute("DELETE FROM orders WHERE id = '1'")
    assert program("verify", ORDERS, "--repair", *program.to).code == 0
    assert numbers(program) == {"0": 0, "1": 1, "2": 2}


def test_a_follower_never_waits_for_readers_and_each_keeps_what_it_has_opened(program, rig):
    often = program.with_(CONNECTOR_DESTINATION__PUBLISH_SECONDS="0.1")
    assert often("sync", ORDERS, *program.to).code == 0
    copy, end = program.folder / COPY, program.folder / "end"
    python = [sys.executable, "-c"]
    readers = [
        subprocess.Popen(
            [*python, HOLDS, str(copy)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(READERS)
    ]
    assert [reader.stdout.readline().strip() for reader in readers] == ["0"] * READERS
    looking = subprocess.Popen(
        [*python, LOOKS, str(copy), str(end)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert looking.stdout.readline() == "ready\n"
    follower = often.start("sync", ORDERS, "--follow", *program.to)
    for n in range(1, 6):
        rig.table(ORDERS).put(*(order(name, n) for name in (0, 1, 2, f"new {n}")))
        wait_until(lambda n=n: numbers(program)["0"] == n, follower)
    end.touch()
    seen, wrong = looking.communicate(timeout=120)
    assert looking.returncode == 0, wrong
    assert int(seen) >= 2
    for reader in readers:
        answer, _ = reader.communicate("")
        assert (answer.strip(), reader.returncode) == ("0", 0)
    rig.table(ORDERS).put(order(0, 99))
    wait_until(lambda: numbers(program)["0"] == 99, follower)
    done = ended(follower, signal.SIGTERM)
    assert done.code == 130
    assert "waiting for" not in done.stderr
    assert names(program) == {COPY, "warehouse.duckdb", "end"}


def test_a_follower_that_is_asked_to_end_publishes_what_it_has(program, rig):
    process = program.start("sync", ORDERS, "--follow", *program.to)
    wait_until(lambda: program.file.exists() and b"tailing" in _state(program, process), process)
    done = ended(process, signal.SIGTERM)
    assert done.code == 130
    assert numbers(program) == {"0": 0, "1": 1, "2": 2}


def _state(program: Program, process: object) -> bytes:
    return program("status", "-o", "json", *program.to).stdout.encode()


@pytest.mark.parametrize("point", failpoints.PUBLISH_NAMES)
def test_a_crash_leaves_a_whole_copy_and_nothing_that_stays(program, rig, point):
    assert program("sync", ORDERS, *program.to).code == 0
    rig.table(ORDERS).put(order(0, 7))
    done = program.with_(CONNECTOR_FAILPOINT=point)("sync", ORDERS, *program.to)
    if point == "publish.while_copying" and done.code == 0:
        pytest.skip("this file system shares the blocks, so nothing is copied")
    assert done.code == -signal.SIGKILL, done.stderr
    assert numbers(program)["0"] == (7 if point == "publish.after_rename" else 0)
    again = program("sync", ORDERS, *program.to)
    assert again.code == 0, again.stderr
    assert numbers(program)["0"] == 7
    assert names(program) == {COPY, "warehouse.duckdb"}
    assert program("verify", ORDERS, *program.to).code == 0


def test_status_says_of_when_the_copy_is_and_why_there_is_no_newer_one(program, rig):
    def row() -> dict[str, object]:
        (found,) = json.loads(program("status", "-o", "json", *program.to).stdout)
        return found

    unpublished = program.with_(CONNECTOR_DESTINATION__PUBLISH="")
    assert unpublished("sync", ORDERS, *program.to).code == 0
    assert (row()["published_at"], row()["held_back"]) == (None, None)
    assert program("sync", ORDERS, *program.to).code == 0
    first = row()["published_at"]
    assert first and row()["held_back"] is None
    rig.delete_table(ORDERS)
    rig.create_table(ORDERS, SCHEMA).put(order(5, 5))
    failed = program("sync", ORDERS, *program.to)
    assert failed.code == 3, failed.stderr
    assert row()["published_at"] == first
    assert row()["held_back"] == "nothing new is published while orders needs a person"
    assert numbers(program) == {"0": 0, "1": 1, "2": 2}
    said = program("status", *program.to)
    assert said.code == 3
    assert program("snapshot", ORDERS, "--full-refresh", "--yes", *program.to).code == 0
    assert numbers(program) == {"5": 5}
    assert row()["held_back"] is None and row()["published_at"] > first


def test_one_copy_serves_all_tables(program, rig):
    rig.create_table("users", SCHEMA).put(order("u", 1))
    done = program("sync", ORDERS, "users", *program.to)
    assert done.code == 0, done.stderr
    assert done.stderr.count("published") == 1
    assert duckdb_file.read(program.folder / COPY, "SELECT id FROM users") == [("u",)]


def test_check_has_a_line_for_it(program):
    done = program("check", ORDERS, "-o", "json", *program.to)
    assert done.code == 0, done.stderr
    (line,) = [each for each in json.loads(done.stdout) if each["check"] == "publish"]
    assert line["ok"] and COPY in line["detail"]
    (program.folder / COPY).write_text("mine")
    done = program("check", ORDERS, "-o", "json", *program.to)
    assert done.code == 2
    (line,) = [each for each in json.loads(done.stdout) if each["check"] == "publish"]
    assert not line["ok"] and "is not a copy" in line["detail"] and line["fix"]
    assert (program.folder / COPY).read_text() == "mine"


@pytest.mark.parametrize(
    ("publish", "says"),
    [
        ("warehouse.duckdb", "the DuckDB file itself"),
        ("./warehouse.duckdb.wal", "the DuckDB file itself"),
        ("folder/", "This is a folder"),
        (".", "This is a folder"),
        ("s3://bucket/read.duckdb", "has a scheme"),
        ("duckdb:///read.duckdb", "has a scheme"),
        ("md:read", "has a scheme"),
        ("folder", "is a folder"),
        ("link.duckdb", "is a symbolic link"),
        ("mine.txt", "is not a copy"),
        ("no/such/read.duckdb", "does not exist"),
    ],
)
def test_a_place_for_no_copy_is_refused_before_anything_is_read(program, rig, publish, says):
    (program.folder / "folder").mkdir()
    (program.folder / "mine.txt").write_text("mine")
    (program.folder / "link.duckdb").symlink_to("mine.txt")
    before = fingerprints(program.folder)
    done = program.with_(CONNECTOR_DESTINATION__PUBLISH=publish)("sync", ORDERS, *program.to)
    assert_one_sentence(done, 2, says)
    assert fingerprints(program.folder) == before
    assert not rig.calls.count("Scan")


def test_a_new_file_takes_the_place_of_no_copy_of_another(program, rig):
    assert program("sync", ORDERS, *program.to).code == 0
    before = (program.folder / COPY).read_bytes()
    scans = rig.calls.count("Scan")
    done = program("sync", ORDERS, "--to", f"duckdb:///{program.folder / 'other.duckdb'}")
    assert_one_sentence(done, 2, "is a copy of another file")
    assert rig.calls.count("Scan") == scans
    assert (program.folder / COPY).read_bytes() == before
    assert names(program) == {COPY, "warehouse.duckdb"}


def test_a_copy_of_a_database_on_a_server_is_refused(program):
    to = ["--to", "postgresql://loader@localhost/warehouse"]
    assert_one_sentence(program("sync", ORDERS, *to), 2, "only of a DuckDB file")


def test_a_path_in_the_file_starts_from_its_folder(program):
    (program.folder / "conf").mkdir()
    file = program.folder / "conf" / "connector.yaml"
    file.write_text(
        "destination: {url: duckdb:///wh.duckdb, publish: read.duckdb, publish_seconds: 60}\n"
        f"tables: {{{ORDERS}: }}\n"
    )
    plain = program.with_(CONNECTOR_DESTINATION__PUBLISH="")
    done = plain("sync", "--config", str(file))
    assert done.code == 0, done.stderr
    assert (program.folder / "conf" / COPY).exists()


ON_A_SMALL_DISK = """
mount -t tmpfs -o size=1m none small || exit 99
"$@"
"""


def test_a_full_disk_keeps_the_rows_and_is_tried_again(program, rig):
    (program.folder / "small").mkdir()
    small = program.with_(CONNECTOR_DESTINATION__PUBLISH="small/read.duckdb")
    shell = ("unshare", "--mount", "--map-root-user", "sh", "-c", ON_A_SMALL_DISK, "sh")
    done = small("sync", ORDERS, "-o", "json", *program.to, command=(*shell, *COMMAND))
    if done.code == 99 or "unshare" in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr}")
    assert done.code == 4, done.stderr
    (error,) = done.lines("Error: ")
    assert "no room for a new copy" in error
    assert json.loads(done.stdout)[0]["rows"] == 3
    assert program("sync", ORDERS, *program.to).code == 0
    assert numbers(program) == {"0": 0, "1": 1, "2": 2}


def test_without_it_no_file_is_opened_or_made(program):
    plain = program.with_(CONNECTOR_DESTINATION__PUBLISH="")
    done = plain("sync", ORDERS, *program.to)
    assert done.code == 0
    assert "publish" not in done.stderr
    assert names(program) == {"warehouse.duckdb"}
    (row,) = json.loads(plain("status", "-o", "json", *program.to).stdout)
    assert (row["published_at"], row["held_back"]) == (None, None)
