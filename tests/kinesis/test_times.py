"""The rule by which times order changes, and what is done where they do not."""

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.core.changes.times import Judgement, Order, judged, micros, order, tied_with

AT = 1_767_229_202_200_000
SECOND = AT - AT % 1_000_000
NEAR = st.integers(AT - 3000, AT + 3000) | st.integers(SECOND - 3000, SECOND + 1_003_000)
WHOLE = NEAR.map(lambda at: at - at % 1000) | NEAR.map(lambda at: at - at % 1_000_000)


@given(NEAR | WHOLE, NEAR | WHOLE)
def test_each_is_newer_exactly_where_the_other_is_older(one, other):
    opposite = {Order.NEWER: Order.OLDER, Order.OLDER: Order.NEWER, Order.TIED: Order.TIED}
    assert order(one, other) is opposite[order(other, one)]


@given(NEAR | WHOLE, NEAR | WHOLE)
def test_a_whole_millisecond_or_second_may_be_any_moment_in_it(one, other):
    """Each is the same as a span, and two of them are tied exactly where these overlap."""

    def span(at: int) -> range:
        return range(at, at + next((u for u in (1_000_000, 1000) if at % u == 0), 1))

    overlap = span(one).start in span(other) or span(other).start in span(one)
    assert (order(one, other) is Order.TIED) is overlap


@given(NEAR | WHOLE, NEAR | WHOLE)
def test_the_bounds_say_what_the_order_says(at, stored):
    """A database compares with the bounds alone."""
    second, millisecond, high = tied_with(at)
    conflict = stored in (second, millisecond) or stored >= at
    found = Order.NEWER if not conflict else Order.OLDER if stored > high else Order.TIED
    assert found is order(at, stored)


def test_a_moment_in_microseconds():
    assert micros(datetime(2026, 1, 1, 1, 0, 2, 200_000, tzinfo=UTC)) == AT


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("newer", [set(), {True}, {False}, {True, False}])
def test_what_is_certainly_newer_wins_and_a_tie_is_read(settled, newer):
    found = judged([(0, each) for each in newer], {0: settled})
    lost = frozenset({0}) if True in newer else frozenset()
    tied = frozenset({0}) if newer == {False} and not settled else frozenset()
    assert found == Judgement(lost, tied)


def test_every_order_of_three_changes_has_the_same_end():
    """Whichever comes first, the newest stays."""
    for times in itertools.permutations([AT, AT + 1, AT + 5000]):
        newest = times[0]
        for at in times[1:]:
            newest = at if order(at, newest) is Order.NEWER else newest
        assert newest == AT + 5000
