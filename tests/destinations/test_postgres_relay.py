"""The way to Postgres: reset, slow, or a black hole, by a relay of TCP."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from connector.destinations.postgres import server as destination_module
from connector.destinations.postgres.server import PostgresDestination
from connector.destinations.registry import parse_url
from connector.errors import Unreachable
from tests.cli.program import wait_until
from tests.rigs.postgres import Database
from tests.rigs.relay import Fault, Relay

from .items import A, B
from .needs import checked
from .postgres_story import commits
from .story import Story, delete, put

# The transaction that sets the connection up is committed as well.
ONLY_THE_LAST = 2


@pytest.fixture
def story(own: Database, relay: Relay) -> Story:
    """A planned table behind the relay; without patience, where a test needs none."""
    url = parse_url(own.at("127.0.0.1", relay.port))
    told = Story(PostgresDestination(url, lock_timeout=5, run_id="run"))
    told.plan()
    return told


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.usefixtures("impatient")
def test_a_commit_whose_answer_is_lost_is_done_if_it_arrived(story, own, relay, arrives):
    story.tail(put(A))
    relay.fault = Fault(cut=b"COMMIT", cut_at=ONLY_THE_LAST, deliver=arrives)
    batch = story.batch(put(B), delete(A))
    if arrives:
        assert story.destination.commit(batch).commit == 3
    else:
        with pytest.raises(Unreachable):
            story.destination.commit(batch)
        story.shows(A)
        assert commits(own) == 2
        assert story.destination.commit(batch).commit == 3
    assert relay.resets == 1
    story.shows(B)
    assert commits(own) == 3


def test_a_commit_that_did_not_arrive_is_tried_again(story, own, relay):
    relay.fault = Fault(cut=b"COMMIT", cut_at=ONLY_THE_LAST, deliver=False)
    story.tail(put(A))
    assert relay.resets == 1
    story.shows(A)
    assert commits(own) == 2


@pytest.mark.parametrize("arrives", [True, False])
def test_a_plan_whose_answer_is_lost_is_made_once(own, relay, arrives):
    url = parse_url(own.at("127.0.0.1", relay.port))
    relay.fault = Fault(cut=b"COMMIT", cut_at=ONLY_THE_LAST, deliver=arrives)
    story = Story(PostgresDestination(url))
    assert story.plan().generation == 1
    assert relay.resets == 1
    story.tail(put(A))
    story.shows(A)


@pytest.mark.parametrize("arrives", [True, False])
def test_a_load_whose_answer_is_lost_is_done_if_it_arrived(story, own, relay, arrives):
    story.tail(put(A))
    relay.fault = Fault(cut=b"COMMIT", cut_at=ONLY_THE_LAST, deliver=arrives)
    if not arrives:
        with pytest.raises(Unreachable) as caught:
            story.load(story.page(A, B))
        assert caught.value.exit_code == 4
        story.shows(A)
    assert story.load(story.page(A, B)).written == 1
    story.shows(A, B)
    assert commits(own) == 3


def test_nobody_knowing_what_became_of_a_commit_is_no_success(story, own, relay, monkeypatch):
    monkeypatch.setattr(destination_module, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr("connector.destinations.postgres.session.connection.ANSWER_SECONDS", 0.0)
    relay.fault = Fault(cut=b"COMMIT", cut_at=ONLY_THE_LAST)
    with pytest.raises(Unreachable):
        story.tail(put(A))
    # It did arrive: the next run finds the cursor moved, and reads on from there.
    wait_until(lambda: commits(own) == 2)
    story.cursor = story.state().cursors["shard/a"]
    assert story.cursor.token == "1"
    story.tail(put(B))
    story.shows(A, B)


@pytest.mark.parametrize("after", [3000, 6000, 9000, 12000, 15000])
def test_a_reset_anywhere_is_made_good(story, own, relay, after):
    relay.fault = Fault(reset_after=relay.sent + after)
    story.tail(put(A), delete(B))
    story.tail(put(B), put(A | {"new": {"S": "x"}}))
    assert relay.resets == 1
    story.shows(A | {"new": {"S": "x"}}, B)
    assert commits(own) == 3


def test_a_slow_way_changes_nothing(story, relay):
    relay.fault = Fault(latency=0.005)
    story.tail(put(A))
    story.load(story.page(A, B))
    story.shows(A, B)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_never_answers_is_unreachable(own, relay):
    relay.fault = Fault(black_hole=True)
    url = own.at("127.0.0.1", relay.port) + "&connect_timeout=2"
    one, two, three = (PostgresDestination(parse_url(url)) for _ in range(3))
    uses = (lambda: checked(one), lambda: two.read("orders"), Story(three).plan)
    with ThreadPoolExecutor(len(uses)) as pool:
        for waiting in [pool.submit(use) for use in uses]:
            with pytest.raises(Unreachable):
                waiting.result()
