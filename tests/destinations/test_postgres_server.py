"""A Postgres server that crashes, restarts, ends a session, or has no room."""

import getpass
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pytest

from connector.core.rows import CHANGED_AT, field_of
from connector.core.schema import STRING
from connector.core.state import Load
from connector.destinations.postgres import PostgresDestination
from connector.errors import DiskFull, Unreachable

from .items import A, B
from .postgres_story import commits
from .story import EPOCH, SEGMENT, Story, put


def pages(story: Story, count: int, meanwhile: object = None) -> Iterator[pa.Table]:
    """Pages of a load; something happens after the first."""
    for number in range(count):
        ids = [f"{number}-{row}" for row in range(1000)]
        times = pa.array([EPOCH] * 1000, CHANGED_AT.type)
        schema = pa.schema([field_of("id", STRING), field_of("text", STRING), CHANGED_AT])
        yield pa.table([ids, ["x" * 100] * 1000, times], schema=schema)
        if number == 0 and meanwhile:
            meanwhile()


def load_of(story: Story) -> Load:
    schema = {"id": STRING, "text": STRING}
    return Load("orders", story.generation, story.plan_id, schema, [SEGMENT], EPOCH)


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


def test_a_commit_whose_session_is_ended_is_tried_again(own):
    story = Story(PostgresDestination(own.parsed))
    story.plan()
    own.by_hand(
        "CREATE SEQUENCE ended",
        "CREATE FUNCTION once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "PERFORM pg_terminate_backend(pg_backend_pid()) WHERE nextval('public.ended') = 1; "
        "RETURN NEW; END $$",
        "CREATE TRIGGER once BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION once()",
    )
    story.tail(put(A))
    story.shows(A)
    assert commits(own) == 2
    assert own.by_hand("SELECT last_value FROM ended") == [(2,)]


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
