"""Scans of several tables take turns, in the order in which they came."""

import pytest

from connector.scanning.turns import Lane, ScanTurns, TurnedScan


class Scan:
    """A scan whose end is given."""

    def __init__(self) -> None:
        self.done = self.stopped = False
        self.error: Exception | None = None

    def finished(self) -> bool:
        """Whether it is done."""
        if self.error:
            raise self.error
        return self.done

    def stop(self) -> None:
        """Ends it."""
        self.stopped = True


class Waiting:
    """Three scans in one lane."""

    def __init__(self, room: int) -> None:
        lane = Lane(room)
        self.begun: list[Scan] = []
        self.turned = [TurnedScan(f"t{number}", lane, self.start) for number in range(3)]

    def start(self) -> Scan:
        """Begins the next one."""
        self.begun.append(Scan())
        return self.begun[-1]

    def ask(self) -> list[bool]:
        """Asks each whether it is finished, the last one first."""
        return [each.finished() for each in reversed(self.turned)][::-1]


@pytest.mark.parametrize("room", [1, 2])
def test_no_more_go_on_than_there_is_room_for(room: int) -> None:
    scans = Waiting(room)
    assert len(scans.begun) == room
    assert scans.ask() == [False] * 3
    assert len(scans.begun) == room
    scans.begun[0].done = True
    assert scans.ask() == [True, False, False]
    scans.ask()
    assert len(scans.begun) == room + 1


def test_one_that_is_stopped_while_it_waits_never_begins() -> None:
    scans = Waiting(1)
    scans.turned[1].stop()
    scans.begun[0].done = True
    scans.turned[0].finished()
    assert not scans.turned[1].finished() and not scans.turned[2].finished()
    assert len(scans.begun) == 2
    scans.turned[2].stop()
    assert scans.begun[1].stopped


def test_one_that_fails_gives_its_turn_back() -> None:
    scans = Waiting(1)
    scans.begun[0].error = OSError("no more processes")
    with pytest.raises(OSError, match="no more"):
        scans.turned[0].finished()
    scans.turned[0].stop()
    assert not scans.turned[1].finished()
    assert len(scans.begun) == 2


def test_one_that_cannot_begin_gives_its_turn_back() -> None:
    lane = Lane(1)

    def refuse() -> Scan:
        raise OSError("no more processes")

    for _ in range(2):
        with pytest.raises(OSError, match="no more"):
            TurnedScan("orders", lane, refuse)


def test_small_tables_do_not_wait_for_a_large_one_unless_they_share_a_cap() -> None:
    free, capped = ScanTurns.of(4, capped=False), ScanTurns.of(4, capped=True)
    assert free.threads is not free.processes
    assert capped.threads is capped.processes
