"""Commits that follow each other at once share an open file, and others still get in."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from connector.destinations.duckdb.file import DuckDBDestination
from connector.destinations.duckdb.session import connection as duckdb_connection
from connector.destinations.duckdb.session import gate as duckdb_gate
from connector.errors import CursorMoved

from .items import A, B
from .story import Story, put

READER = """
import duckdb, sys, time
deadline = time.monotonic() + float(sys.argv[2])
while True:
    try:
        with duckdb.connect(sys.argv[1], read_only=True) as connection:
            print(*connection.execute("SELECT count(*) FROM orders").fetchone())
            break
    except duckdb.IOException:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.15)
"""
KILLED = """
import os, signal, sys
from pathlib import Path
from connector.destinations.duckdb.file import DuckDBDestination
from tests.destinations.items import A
from tests.destinations.story import Story, put
story = Story(DuckDBDestination(Path(sys.argv[1])))
story.plan()
story.tail(put(A), more=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


@pytest.fixture
def story(path: Path) -> Story:
    told = Story(DuckDBDestination(path, lock_timeout=5))
    told.plan()
    return told


def reader(path: Path, patience: float) -> subprocess.Popen[str]:
    """Another process that counts the rows, and tries again for so many seconds."""
    return subprocess.Popen(
        [sys.executable, "-c", READER, str(path), str(patience)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def counted(path: Path, patience: float) -> str:
    """What it finds; nothing where the file stays held."""
    return reader(path, patience).communicate()[0].strip()


def test_it_stays_open_until_the_last_of_them(story, path, monkeypatch):
    # For longer than another process takes to look, however busy the machine is.
    for module in (duckdb_connection, duckdb_gate):
        monkeypatch.setattr(module, "KEPT_SECONDS", 300.0)
    story.tail(put(A), more=True)
    assert counted(path, 0) == ""
    story.tail(put(B))
    assert counted(path, 0) == "2"
    story.shows(A, B)


def test_it_is_closed_where_none_follows(story, path):
    story.tail(put(A), more=True)
    assert counted(path, 30) == "1"


def test_this_process_reads_what_it_has_committed(story):
    story.tail(put(A), more=True)
    story.shows(A)
    story.tail(put(B), more=True)
    assert story.destination.count("orders") == 2


def test_an_error_closes_it(story, path):
    story.tail(put(A), more=True)
    stale = story.batch(put(B), generation=7, more=True)
    with pytest.raises(CursorMoved):
        story.destination.commit(stale)
    assert counted(path, 0) == "1"


def test_readers_get_in_while_one_commit_follows_another(story, path):
    process = reader(path, 30)
    commits = 0
    while process.poll() is None:
        story.tail(put(A), more=True)
        commits += 1
    assert process.communicate()[0].strip() in ("0", "1")
    assert commits


def test_the_file_is_free_after_commits_that_shared_it_whoever_made_the_last(
    story, path, monkeypatch
):
    """Two tables in one file: the second may close what the first has kept."""
    other = Story(DuckDBDestination(path, lock_timeout=5), table="others", target="others")
    other.plan()
    waited = []
    monkeypatch.setattr(duckdb_connection.time, "sleep", waited.append)
    story.tail(put(A), more=True)
    other.tail(put(A))
    assert not any(waited)
    story.tail(put(B), more=True)
    assert 0 < max(waited) <= 0.25


def test_a_kill_while_it_is_open_loses_no_commit(path):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == -signal.SIGKILL
    assert counted(path, 0) == "1"
    story = Story(DuckDBDestination(path), plan_id="plan-1", generation=1)
    story.shows(A)
