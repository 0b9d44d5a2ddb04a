"""A Postgres server that crashes, restarts, ends a session, or has no room."""

import getpass
import os
import subprocess
import tempfile
from pathlib import Path
from threading import Thread

import pytest

from connector.destinations.postgres.server import PostgresDestination
from connector.errors import DiskFull, Transient, Unreachable

from .items import A, B
from .needs import checked
from .postgres_story import load_of, pages
from .story import Story, put


def test_a_server_that_crashes_amid_a_load_leaves_nothing_of_it(server, own):
    story = Story(PostgresDestination(own.parsed))
    story.plan()
    story.tail(put(A))
    crash = lambda: server.control("-m", "immediate", "restart")  # noqa: E731
    with pytest.raises(Unreachable):
        story.destination.load(load_of(story), pages(story, 5, crash), [])
    story.shows(A)
    assert story.destination.load(load_of(story), pages(story, 5), []).written == 5000
    assert story.destination.count("orders") == 5001


def test_a_commit_waits_for_a_server_that_restarts(server, own):
    story = Story(PostgresDestination(own.parsed))
    story.plan()
    server.control("-m", "fast", "stop")
    starting = Thread(target=server.control, args=["start"])
    starting.start()
    story.tail(put(A))
    starting.join()
    story.shows(A)


def test_a_server_that_became_a_standby_is_told_until_it_is_promoted(server, own):
    story = Story(PostgresDestination(own.parsed))
    story.plan()
    story.tail(put(A))
    server.control("-m", "fast", "stop")
    signal = server.folder / "standby.signal"
    signal.touch()
    server.control("start")
    batch = story.batch(put(B))
    for use in (
        lambda: story.destination.commit(batch),
        lambda: story.load(story.page(B)),
        lambda: checked(story.destination),
    ):
        with pytest.raises(Transient, match="is read-only now") as caught:
            use()
        assert caught.value.exit_code == 4
    story.shows(A)
    own.by_hand("SELECT pg_promote()")
    assert not signal.exists()
    assert story.destination.commit(batch).commit == 3
    story.shows(A, B)


def test_a_full_disk_is_told_and_leaves_nothing_half_written(server, own):
    folder = Path(tempfile.mkdtemp(prefix="full-"))
    if getpass.getuser() != "root":
        pytest.skip("only root can mount a small disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m,mode=0777", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    space = folder / "space"
    try:
        space.mkdir()
        space.chmod(0o777)
        owner = (server.folder / "PG_VERSION").stat()
        os.chown(space, owner.st_uid, owner.st_gid)
        own.by_hand(
            f"CREATE TABLESPACE small LOCATION '{space}'",
            f"ALTER ROLE postgres IN DATABASE {own.name} SET default_tablespace = small",
        )
        story = Story(PostgresDestination(own.parsed))
        story.plan()
        story.tail(put(A))
        with pytest.raises(DiskFull) as caught:
            story.destination.load(load_of(story), pages(story, 60), [])
        assert caught.value.exit_code == 4
        story.shows(A)
        story.load(story.page(B))
        story.shows(A, B)
    finally:
        own.by_hand(
            "DROP SCHEMA public CASCADE",
            "DROP SCHEMA IF EXISTS _connector CASCADE",
            f"ALTER ROLE postgres IN DATABASE {own.name} RESET ALL",
            "DROP TABLESPACE IF EXISTS small",
        )
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()
