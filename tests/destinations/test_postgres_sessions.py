"""Sessions in Postgres that meet others, wait, are ended, or are killed."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread

import pytest
from adbc_driver_postgresql import dbapi

from connector.core.state import Phase
from connector.destinations.postgres.server import PostgresDestination
from connector.destinations.postgres.session import idle
from connector.errors import (
    Busy,
    CursorMoved,
    Transient,
)
from tests.cli.program import wait_until
from tests.rigs.combinations import turn
from tests.rigs.postgres import Database

from .history import FAILPOINTS, FINAL, killed_at, tell
from .items import A, B
from .needs import checked
from .postgres_story import least, told
from .story import SHARD, Story, delete, put


@pytest.fixture
def story(postgres: Database) -> Story:
    return told(postgres)


# By turns every third place; a DuckDB file is left behind at another third.
@pytest.mark.parametrize("failpoint", turn(FAILPOINTS, 1, at_once=4))
def test_a_kill_leaves_nothing_half_done(postgres, failpoint):
    assert killed_at(failpoint, postgres.url) == -signal.SIGKILL
    story = tell(postgres.url)
    story.shows(*FINAL)
    runs = story.destination.query("SELECT sum(commits) AS commits FROM _connector.runs")
    assert runs.to_pylist() == [{"commits": 5}]


def test_two_runs_take_turns_and_one_of_them_moves_on(story, postgres):
    batches = [story.batch(put(A)), story.batch(put(A))]
    outcomes: list[object] = []

    def commit(batch):
        try:
            patient = PostgresDestination(postgres.parsed)
            outcomes.append(patient.commit(batch).commit)
        except CursorMoved as error:
            outcomes.append(error)

    threads = [Thread(target=commit, args=[batch]) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(isinstance(outcome, CursorMoved) for outcome in outcomes) == [False, True]


def test_two_first_plans_at_once_leave_one(postgres):
    outcomes: list[object] = []

    def plan(name):
        try:
            outcomes.append(Story(PostgresDestination(postgres.parsed)).plan(name).plan_id)
        except CursorMoved as error:
            outcomes.append(error)

    threads = [Thread(target=plan, args=[f"plan-{n}"]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(isinstance(outcome, CursorMoved) for outcome in outcomes) == [False, *[True] * 3]


def test_a_reader_sees_one_moment_while_rows_are_written(story):
    story.tail(put(A), put(B))
    batches = story.destination.rows("orders")
    first = next(batches)
    story.tail(delete(A), delete(B), put({"id": {"S": "c"}}))
    assert first.num_rows + sum(batch.num_rows for batch in batches) == 2
    story.shows({"id": {"S": "c"}})


def test_a_lock_that_is_held_too_long_is_busy(story, postgres):
    story.tail(put(A))
    with dbapi.connect(postgres.url) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE orders")
        with pytest.raises(Busy, match="lock_timeout"):
            story.tail(put(B))
    story.cursor = story.state().cursors[SHARD]
    story.tail(put(B))
    story.shows(A, B)


def test_a_deadlock_is_tried_again(story, postgres):
    story.tail(put(A), put(B))
    patient = Story(PostgresDestination(postgres.parsed), generation=1, plan_id="plan-1")
    patient.cursor, patient.sequence = story.cursor, story.sequence
    with dbapi.connect(postgres.url) as other, other.cursor() as cursor:
        cursor.execute("SET deadlock_timeout = '60s'")
        cursor.execute("UPDATE orders SET n = 0 WHERE id = 'b'")
        commit = Thread(target=patient.tail, args=[put(A | {"n": {"N": "5"}}), put(B)])
        commit.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        wait_until(lambda: postgres.by_hand(waiting) == [(1,)])
        # The connector's transaction, which waits with the shorter patience, is the one to give.
        cursor.execute("UPDATE orders SET n = 0 WHERE id = 'a'")
        other.commit()
    commit.join()
    patient.shows(A | {"n": {"N": "5"}}, B)


def test_a_statement_time_out_is_told_and_leaves_nothing(postgres):
    url = least(postgres)
    story = told(postgres, url, schema="warehouse")
    story.tail(put(A))
    postgres.by_hand(
        "CREATE FUNCTION warehouse.slow() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN PERFORM pg_sleep(9); RETURN NEW; END $$",
        "CREATE TRIGGER slow BEFORE INSERT ON warehouse.orders "
        "FOR EACH ROW EXECUTE FUNCTION warehouse.slow()",
        f"ALTER ROLE {postgres.roles[0]} SET statement_timeout = '200ms'",
    )
    idle.release()
    with pytest.raises(Transient, match="statement_timeout") as caught:
        story.tail(put(B))
    assert caught.value.exit_code == 4
    story.shows(A)


def test_a_server_that_only_reads_is_told(postgres):
    url = least(postgres)
    story = told(postgres, url, schema="warehouse")
    story.tail(put(A))
    postgres.by_hand(f"ALTER ROLE {postgres.roles[0]} SET default_transaction_read_only = on")
    idle.release()
    for use in (
        lambda: story.tail(put(B)),
        lambda: story.load(story.page(B)),
        lambda: checked(story.destination),
    ):
        with pytest.raises(Transient, match="is read-only now"):
            use()
    story.shows(A)
    assert story.state().commit == 2


def test_an_interruption_is_heard_and_the_commit_finished(story, postgres):
    postgres.by_hand(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$",
        "CREATE TRIGGER slow BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION slow()",
    )
    heard = Event()
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.set())
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"

    def interrupt() -> None:
        wait_until(lambda: postgres.by_hand(sleeping) == [(1,)])
        os.kill(os.getpid(), signal.SIGINT)

    killer = Thread(target=interrupt)
    try:
        killer.start()
        story.tail(put(A))
    finally:
        killer.join()
        signal.signal(signal.SIGINT, before)
    assert heard.is_set()
    story.shows(A)


# What the server says, and how often: only the first time.
ENDED_ONCE = {
    "57P01": "PERFORM pg_terminate_backend(pg_backend_pid())",
    "40001": "RAISE EXCEPTION USING ERRCODE = '40001'",
    "40P01": "RAISE EXCEPTION USING ERRCODE = '40P01'",
}


@pytest.mark.parametrize("state", ENDED_ONCE)
@pytest.mark.parametrize("step", ["commit", "plan"])
def test_a_transaction_that_the_server_ends_is_done_again_once(story, postgres, state, step):
    table = {"commit": "public.orders", "plan": "_connector.cursors"}[step]
    postgres.by_hand(
        "CREATE SEQUENCE ended",
        "CREATE FUNCTION once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF nextval('public.ended') = 1 THEN {ENDED_ONCE[state]}; END IF; RETURN NEW; END $$",
        f"CREATE TRIGGER once BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION once()",
    )
    if step == "plan":
        assert story.refresh().generation == 2
    story.tail(put(A))
    story.shows(A)
    ((tries,),) = postgres.by_hand("SELECT last_value FROM ended")
    assert tries > 1
    assert story.state().commit == story.state().start_commit + 1


def test_tables_that_are_planned_and_grow_at_once_are_not_in_each_others_way(postgres):
    names = [f"table {n}" for n in range(4)]
    item = {"id": {"S": "a"}} | {f"{'x' * 70}{n}": {"N": str(n)} for n in range(20)}

    def write(name: str) -> Story:
        story = Story(PostgresDestination(postgres.parsed), table=name, target=name)
        story.plan()
        for n in range(3):
            story.tail(put(item | {f"only {n}": {"S": name}}))
        return story

    with ThreadPoolExecutor(len(names)) as pool:
        for name, story in zip(names, pool.map(write, names), strict=True):
            story.shows(item | {"only 2": {"S": name}})
            assert len(story.state().columns) == 24
    assert PostgresDestination(postgres.parsed).tables() == names


LOAD = """
import sys, time
from tests.destinations.history import destination_at
from tests.destinations.postgres_story import load_of, pages
from tests.destinations.story import Story

story = Story(destination_at(sys.argv[1]), plan_id="plan-1", generation=1)
slowly = (time.sleep(0.05) or page for page in pages(story, 1000))
story.destination.load(load_of(story), slowly, [])
"""


def test_a_kill_amid_a_copy_leaves_nothing_of_it(story, postgres):
    story.tail(put(A))
    copied = "SELECT coalesce(max(tuples_processed), 0)::bigint FROM pg_stat_progress_copy"
    with subprocess.Popen([sys.executable, "-c", LOAD, postgres.url]) as loading:
        wait_until(lambda: postgres.by_hand(copied) > [(1000,)])
        loading.kill()
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'connector'"
    wait_until(lambda: postgres.by_hand(f"{sessions} AND state <> 'idle'") == [(0,)])
    story.shows(A)
    assert story.state().phase is Phase.LOADING
    story.load(story.page(A, B))
    story.shows(A, B)
