"""Any history ends in every destination as it does in the fake."""

import os
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.core.spec import Deletes
from connector.core.state import Committed, Phase

from .fake import FakeDestination
from .items import VALUES
from .story import EPOCH, Item, Story, delete, put, text_of

pytestmark = pytest.mark.by_turns("make_real")

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


@dataclass
class Row:
    """An item, the step that wrote it, and whether it is only marked as deleted by now."""

    item: Item
    step: int
    marked: bool = False


@dataclass
class Model:
    """What must become of items, in dictionaries that share no code with any destination."""

    soft: bool
    rows: dict[str, Row] = field(default_factory=dict)
    buried: set[str] = field(default_factory=set)
    step: int = 1
    planned: int = 0
    loading: bool = True

    def refresh(self) -> None:
        """A new generation."""
        self.planned, self.step, self.loading = self.step, self.step + 1, True
        self.buried.clear()

    def tail(self, changes: list[tuple[bool, Item]]) -> tuple[int, int]:
        """The last change of each key holds; how many were written and how many deleted."""
        self.step += 1
        last = {item["id"]["S"]: (gone, item) for gone, item in changes}
        deleted = 0
        for key, (gone, item) in last.items():
            before = self.rows.pop(key, None)
            if not gone:
                self.rows[key] = Row(item, self.step)
            elif self.soft:
                values = before.item if before else {"id": item["id"]}
                self.rows[key] = Row(values, self.step, marked=True)
            if gone:
                deleted += self.soft or before is not None
                self.buried |= {key} if self.loading and not self.soft else set()
        return sum(not gone for gone, _ in last.values()), deleted

    def load(self, pages: list[list[Item]]) -> tuple[int, int, int]:
        """How many rows were written, how many earlier ones deleted, and how many are streamed."""
        self.step += 1
        self.loading = False
        newest = {item["id"]["S"]: item for page in pages for item in page}
        streamed = {key: row for key, row in self.rows.items() if row.step > self.planned}
        taken = newest.keys() - streamed.keys() - self.buried
        earlier = {key: row for key, row in self.rows.items() if key not in streamed}
        vanished = {key for key, row in earlier.items() if not row.marked} - taken
        marked = {key: row for key, row in earlier.items() if row.marked}
        loaded = {key: Row(newest[key], self.step) for key in taken}
        self.rows = marked | streamed | loaded
        return len(taken), len(vanished), sum(not row.marked for row in streamed.values())

    def items(self) -> list[Item]:
        """What a reader sees."""
        return [row.item for row in self.rows.values() if not row.marked]


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
    model = Model(soft=deletes is Deletes.SOFT)
    for story in stories:
        story.plan()
    for step, content in steps:
        # The fake's phase is both of theirs, and asking it costs nothing.
        if step == "load" and stories[0].state().phase is not Phase.LOADING:
            continue
        if step == "refresh":
            assert remembered(stories[0]) == remembered(stories[1])
        told, new = zip(*(_told(story, step, content) for story in stories), strict=True)
        assert told[0] == told[1]
        assert new[0] == new[1]
        assert stories[0].items() == stories[1].items()
        assert _predicted(model, step, content) in (None, _counts(told[0]))
        stories[1].shows(*model.items())
    assert remembered(stories[0]) == remembered(stories[1])


def remembered(story: Story) -> tuple[object, ...]:
    """What both destinations must remember in the same way."""
    state = story.state()
    return state.phase, state.generation, state.cursors


def _told(story: Story, step: str, content: Any) -> tuple[object, list[tuple[str, str]]]:
    if step == "refresh":
        return story.refresh().generation, []
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


def _predicted(model: Model, step: str, content: Any) -> tuple[int, ...] | None:
    if step == "refresh":
        model.refresh()
        return None
    return (*model.tail(content), 0) if step == "tail" else model.load(content)


def _counts(told: object) -> tuple[int, ...] | None:
    return (told.written, told.deleted, told.streamed) if isinstance(told, Committed) else None
