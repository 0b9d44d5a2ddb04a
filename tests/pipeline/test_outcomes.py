"""What comes of each table of a run, and when a failed one is tried again."""

from collections.abc import Callable
from threading import Barrier, Event

import pytest

from connector.errors import (
    ConfigError,
    ConnectorError,
    FileHeld,
    HistoryLost,
    Interrupted,
    SourceRefused,
    Throttled,
)
from connector.pipeline.side_by_side import (
    RARELY,
    SOON,
    Failures,
    Outcome,
    Result,
    gravest,
    keep_trying,
    listed,
    side_by_side,
)
from connector.stop import Stop

NAMES = [f"t{number}" for number in range(6)]
PATIENCE = 30.0


def run_all(run: Callable[[str], str], at_once: int = 2) -> list[Outcome[str]]:
    """Runs the six tables."""
    return side_by_side(
        NAMES, run, at_once=at_once, stopped=lambda: False, failures=Failures(NAMES)
    )


@pytest.mark.parametrize("at_once", [1, 2, 6, 64])
def test_each_table_has_an_outcome_in_the_order_of_the_tables(at_once: int) -> None:
    def run(table: str) -> str:
        if table == "t2":
            raise SourceRefused("No.", "Ask.")
        return table

    outcomes = run_all(run, at_once)
    assert [outcome.table for outcome in outcomes] == NAMES
    assert [outcome.found for outcome in outcomes] == ["t0", "t1", None, "t3", "t4", "t5"]
    assert outcomes[2].result is Result.FAILED
    assert (str(outcomes[2].error), type(outcomes[2].error)) == ("No. Ask.", SourceRefused)


def test_no_more_run_at_once_than_are_asked_for_and_no_fewer() -> None:
    together, running = Barrier(3, timeout=PATIENCE), set()

    def run(table: str) -> str:
        running.add(table)
        assert len(running) <= 3
        together.wait()
        running.discard(table)
        together.wait()
        return table

    assert {outcome.result for outcome in run_all(run, 3)} == {Result.OK}


def test_a_bug_is_one_tables_failure_too_and_quotes_nothing() -> None:
    def run(table: str) -> str:
        return table if table != "t0" else str({}["secret"])

    first, *others = run_all(run)
    assert first.error is not None and first.error.exit_code == 1
    assert "unexpected KeyError in run" in first.error.message
    assert "secret" not in str(first.error)
    assert {outcome.result for outcome in others} == {Result.OK}


def test_an_error_keeps_nothing_of_the_run_alive() -> None:
    def run(table: str) -> str:
        try:
            raise ValueError(table)
        except ValueError as error:
            raise SourceRefused("No.") from error

    for outcome in run_all(run):
        assert outcome.error is not None
        assert (outcome.error.__traceback__, outcome.error.__cause__) == (None, None)


def test_what_every_table_would_meet_is_not_tried_again() -> None:
    def run(table: str) -> str:
        if table == "t1":
            raise FileHeld("It is held.", "Wait.")
        return table

    results = [outcome.result for outcome in run_all(run, 1)]
    assert results == [Result.OK, Result.FAILED, *[Result.NOT_TRIED] * 4]


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0, 4], 4),
        ([4, 2, 0], 2),
        ([2, 3, 4], 3),
        ([3, 1, 2], 1),
        ([1, 130, 3], 130),
    ],
)
def test_the_gravest_code_wins(codes: list[int], code: int) -> None:
    assert gravest(codes) == code


@pytest.mark.parametrize(
    ("count", "text"),
    [(1, "t0"), (2, "t0 and t1"), (3, "t0, t1 and t2"), (6, "t0, t1, t2, t3, t4 and 1 more")],
)
def test_a_list_of_tables_fits_a_line(count: int, text: str) -> None:
    assert listed(NAMES[:count]) == text


class Kept:
    """One table of a run, kept with pauses that are only noted."""

    def __init__(self, *errors: ConnectorError | None, others: int = 1) -> None:
        self.errors = list(errors)
        self.failures = Failures(["orders", *(f"other {n}" for n in range(others))])
        self.waited = 0.0
        self.waits: list[float] = []
        self.stops_after = len(errors)

    def attempt(self) -> str:
        """Ends with the next error, or well."""
        if self.waited:
            self.waits.append(round(self.waited, 1))
            self.waited = 0.0
        error = self.errors.pop(0)
        if error is None:
            return "done"
        raise error

    def pause(self, seconds: float) -> bool:
        """Waits no moment."""
        self.waited += seconds
        return False

    def __call__(self, over: Callable[[], bool] = lambda: False) -> str:
        """Keeps trying."""
        return keep_trying(
            "orders", self.attempt, self.failures, over, Stop(lambda: False, self.pause)
        )


def test_what_may_pass_is_tried_again_soon_and_then_less_often() -> None:
    kept = Kept(*[Throttled("Later.")] * 9, None)
    assert kept() == "done"
    assert kept.waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert (SOON[0], SOON[1]) == (kept.waits[0], kept.waits[-1])


def test_what_needs_a_person_is_tried_again_rarely() -> None:
    kept = Kept(*[HistoryLost("Lost.")] * 10, None)
    assert kept() == "done"
    assert kept.waits == [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]
    assert (RARELY[0], RARELY[1]) == (kept.waits[0], kept.waits[-1])


def test_after_it_was_mended_the_pauses_are_short_again() -> None:
    kept = Kept(Throttled("Later."), Throttled("Later."), Throttled("Later."), None)
    attempt = kept.attempt

    def mended_at_last() -> str:
        if len(kept.errors) == 2:
            kept.failures.recovered("orders")
        return attempt()

    kept.attempt = mended_at_last  # type: ignore[method-assign]
    assert kept() == "done"
    assert kept.waits == [1, 2, 1]


def test_a_line_of_progress_names_what_has_failed_until_it_is_mended() -> None:
    failures = Failures(NAMES)
    assert failures.text() == ""
    for name in ("t3", "t1"):
        failures.add(name, Throttled("Later."))
    assert failures.text() == "; failed: t1 and t3"
    failures.recovered("t3")
    failures.recovered("t3")
    assert failures.text() == "; failed: t1"


def test_the_end_of_the_time_raises_what_is_still_wrong() -> None:
    kept = Kept(Throttled("Later."), Throttled("Even later."))
    with pytest.raises(Throttled, match="Even later"):
        kept(over=lambda: not kept.errors)


def test_an_interrupt_does_not_hide_that_the_table_had_failed() -> None:
    with pytest.raises(Throttled):
        Kept(Throttled("Later."), Interrupted("Asked to end."))()
    with pytest.raises(Interrupted):
        Kept(Interrupted("Asked to end."))()


def test_without_a_table_that_can_go_on_the_run_ends() -> None:
    with pytest.raises(HistoryLost):
        Kept(HistoryLost("Lost."), None, others=0)()


def test_tables_that_wait_for_a_person_end_together_and_a_healthy_one_keeps_them() -> None:
    failures, healthy = Failures(NAMES), Event()

    def run(table: str) -> str:
        def attempt() -> str:
            if table == "t5":
                assert healthy.wait(PATIENCE)
                raise HistoryLost("Lost at last.")
            raise ConfigError("Wrong.")

        def pause(seconds: float) -> bool:
            # The others wait, and do not end, as long as one goes on.
            assert healthy.is_set() or not failures.hopeless()
            if all(map(failures.of, NAMES[:5])):
                healthy.set()
            return Event().wait(0.001)

        return keep_trying(table, attempt, failures, lambda: False, Stop(lambda: False, pause))

    outcomes = side_by_side(NAMES, run, at_once=6, stopped=lambda: False, failures=failures)
    assert {outcome.result for outcome in outcomes} == {Result.FAILED}
    assert gravest(o.error.exit_code for o in outcomes if o.error) == 3
