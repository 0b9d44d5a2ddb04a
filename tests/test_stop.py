"""How a run ends and what time it is: values that a run is given."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import pytest

from connector.cli.runs.flags import Until
from connector.errors import Interrupted
from connector.events import ScanBegun, Scanned, Tailed, Waited, quiet
from connector.progress import Logged, Tally
from connector.stop import MACHINE, Clock, Stop
from connector.waits import Waits

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class Hands:
    """A clock that stands until it is moved."""

    seconds: float = 0.0

    @property
    def clock(self) -> Clock:
        """It as a value."""
        return Clock(lambda: NOON + timedelta(seconds=self.seconds), lambda: self.seconds)


def test_an_event_asks_a_run_to_end() -> None:
    asked = Event()
    stop = Stop.of(asked)
    assert not stop.requested() and not stop.wait(0)
    stop.sleep(0)
    asked.set()
    assert stop.requested() and stop.wait(3600)
    with pytest.raises(Interrupted):
        stop.sleep(3600)


def test_a_sleep_ends_when_the_run_is_asked_to_end() -> None:
    asked, ended = Event(), Event()

    def sleep() -> None:
        with pytest.raises(Interrupted):
            Stop.of(asked).sleep(3600)
        ended.set()

    thread = Thread(target=sleep)
    thread.start()
    asked.set()
    assert ended.wait(60)
    thread.join()


def test_nobody_asks_a_run_of_its_own() -> None:
    first, second = Stop.never(), Stop.never()
    assert not first.requested() and not second.wait(0)


def test_the_machines_clock_has_a_zone_and_goes_on() -> None:
    assert MACHINE.now().utcoffset() == timedelta(0)
    assert MACHINE.monotonic() <= MACHINE.monotonic()


def test_a_run_that_was_given_a_time_ends_by_its_clock() -> None:
    hands = Hands(100.0)
    ending = Until.of(False, "4m").begin(hands.clock)
    assert not ending.over()
    hands.seconds += 239.9
    assert not ending.over()
    hands.seconds += 0.2
    assert ending.over()


def test_a_log_line_comes_every_ten_seconds_by_its_clock(caplog) -> None:
    caplog.set_level(logging.INFO, "connector")
    hands = Hands()
    logged = Logged(Tally("orders", hands.clock), lambda: "; failed: other")
    logged(ScanBegun(1000, 2))
    for second in range(1, 26):
        hands.seconds = float(second)
        logged(Scanned(0, 10, 1000, False))
    logged(Tailed({"read": 3, "applied": 2}, 1.0))
    assert caplog.messages == [
        "orders: scanning about 1,000 items in 2 segments; failed: other",
        "orders: scanned 100 items, 0.0 MB, 10/s; failed: other",
        "orders: scanned 200 items, 0.0 MB, 10/s; failed: other",
    ]
    assert (logged.tally.items, logged.tally.records, logged.tally.applied) == (250, 3, 2)


def test_a_listener_hears_of_a_wait_as_the_log_does(caplog) -> None:
    caplog.set_level(logging.INFO, "connector")
    heard: list[object] = []
    Waits("orders", listener=heard.append).report(Waited("the tide", level=logging.INFO))
    assert heard == [Waited("the tide", level=logging.INFO)]
    assert caplog.messages == ["orders: waiting for the tide"]
    quiet(Waited("the tide"))
