"""Any history ends in every destination as it does in the fake."""

import os
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.core.spec import Deletes
from connector.core.state import Phase

from .fake import FakeDestination
from .items import VALUES
from .story import EPOCH, Story, delete, put, text_of

ITEMS = st.builds(
    lambda key, value: {"id": {"S": key}} | ({"v": value} if value else {}),
    st.sampled_from("abcd"),
    st.sampled_from([None, *VALUES.values()]),
)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tail"), st.lists(st.tuples(st.booleans(), ITEMS), max_size=4)),
        st.tuples(st.just("load"), st.lists(st.lists(ITEMS, max_size=3), max_size=3)),
        st.tuples(st.just("refresh"), st.just([])),
    ),
    max_size=7,
)


LARGE = os.environ.get("TEST_SCALE") == "large"


@settings(
    max_examples=200 if LARGE else 5,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS, deletes=st.sampled_from([Deletes.APPLY, Deletes.SOFT]))
def test_any_history_ends_as_in_the_fake(make_real, steps, deletes):
    real = make_real()
    both = FakeDestination(), real
    texts = text_of(real)
    stories = [Story(destination, deletes=deletes, text=texts) for destination in both]
    for story in stories:
        story.plan()
    for step, content in steps:
        # The fake's phase is both of theirs, and asking it costs nothing.
        if step == "load" and stories[0].state().phase is not Phase.LOADING:
            continue
        if step == "refresh":
            assert remembered(stories[0]) == remembered(stories[1])
        told = [_told(story, step, content) for story in stories]
        assert told[0] == told[1]
        assert stories[0].items() == stories[1].items()
    assert remembered(stories[0]) == remembered(stories[1])


def remembered(story: Story) -> tuple[object, ...]:
    """What both destinations must remember in the same way."""
    state = story.state()
    return state.phase, state.generation, state.cursors


def _told(story: Story, step: str, content: Any) -> object:
    if step == "refresh":
        return story.refresh().generation
    if step == "tail":
        committed = story.tail(*(delete(i) if gone else put(i) for gone, i in content))
    else:
        pages = [
            story.page(*{story.key(i): i for i in page}.values(), at=EPOCH + timedelta(hours=n))
            for n, page in enumerate(content)
            if page
        ]
        committed = story.load(*pages)
    # Each database has its own names for types, and so its own view of what became wider.
    new = [(drift.column, drift.key) for drift in committed.drift if drift.before is None]
    return replace(committed, commit=0, drift=()), new
