"""Shard logic as tables: which may be read, which are new, what is lost, what may be forgotten.

A tree is written as "child<parent": "P C<P" lists P and its child C; "P!" is closed. A cursor is
written as "P=" (not begun), "P=5" (at record 5) or "P=5." (finished), with "<parent" where it has
one. Hours are counted from the plan.
"""

from datetime import UTC, datetime, timedelta

import pytest

from connector.core.changes.shards import (
    Listing,
    Shard,
    childless,
    forgettable,
    growing,
    in_circle,
    losses,
    newcomers,
    read_through,
    readable,
    window,
)
from connector.core.cursors import Cursor
from connector.sources.dynamodb.retention import RETENTION

PLANNED = datetime(2026, 1, 1, tzinfo=UTC)


def at(hours: float) -> datetime:
    """So many hours after the plan."""
    return PLANNED + timedelta(hours=hours)


def listing(text: str, enabled: bool = True) -> Listing:
    """The listing that a text describes."""
    shards = []
    for word in text.split():
        name, _, parent = word.partition("<")
        closed = name.endswith("!")
        shards.append(Shard(name.rstrip("!"), parent or None, "1", "9" if closed else None))
    return Listing.of(shards, enabled)


def cursors(text: str, seen_at: datetime | None = PLANNED) -> dict[str, Cursor]:
    """The cursors that a text describes."""
    found = {}
    for word in text.split():
        place, _, parent = word.partition("<")
        name, _, token = place.partition("=")
        done = token.endswith(".")
        found[name] = Cursor(token.rstrip(".") or None, done, seen_at, parent or None)
    return found


@pytest.mark.parametrize(
    ("listed", "known", "expected"),
    [
        ("P", "P=", "P"),
        ("P! C<P", "P=5 C=<P", "P"),
        ("P! C<P", "P=5. C=<P", "C"),
        ("P! C<P D<P", "P=. C=<P D=7<P", "C D"),
        ("C<P", "C=<P", "C"),  # The parent was trimmed before the plan.
        ("", "P=5", "P"),  # No longer listed: only reading it can tell why.
        ("P! C!<P D<C", "P=5. C=5<P D=<C", "C"),
        ("A! B", "A=5. B=9.", ""),
    ],
)
def test_readable_are_unfinished_shards_whose_parent_is_finished(
    listed: str, known: str, expected: str
) -> None:
    """A child waits for its parent, unless that was never known."""
    assert [shard.id for shard in readable(listing(listed), cursors(known))] == expected.split()


def test_a_readable_shard_that_is_not_listed_is_not_closed() -> None:
    """Nothing is taken for closed that no listing says is."""
    (shard,) = readable(listing(""), cursors("P=5<G"))
    assert shard == Shard("P", "G") and not shard.closed


@pytest.mark.parametrize(
    ("listed", "known", "welcome", "orphans"),
    [
        ("A B", "", "A B", ""),
        ("A B", "A= B=", "", ""),
        ("A! B<A", "A=", "B", ""),
        ("C<B B<A A", "", "A B C", ""),  # Parents first, whatever the order of the listing.
        ("C<B", "A=", "", "C"),
        ("C<B D<C", "A=", "", "C D"),
        ("C<B D<C", "B=5.", "C D", ""),  # The parent is remembered, though no longer listed.
        ("A<B B<A", "", "", "A B"),
    ],
)
def test_newcomers_come_parents_first_and_orphans_wait(
    listed: str, known: str, welcome: str, orphans: str
) -> None:
    """A shard is welcome if its parent is known, or it has none."""
    found = newcomers(listing(listed), cursors(known))
    assert [shard.id for shard in found.welcome] == welcome.split()
    assert [shard.id for shard in found.orphans] == orphans.split()


@pytest.mark.parametrize(
    ("listed", "known", "hours", "lost"),
    [
        ("A! B<A", "A=5.", 30, ""),
        ("C<B", "A=5.", 1, ""),  # The listing is late: nothing since the plan can be trimmed.
        ("C<B", "A=5.", 23.6, ""),
        ("C<B", "A=5.", 24, "B"),
        ("C<B D<C", "A=5.", 30, "B C"),
        ("A! C<A", "C=<A", 30, ""),  # The child waits: its parent may still be read.
        ("A! C<A", "C=5<A", 1, "A"),
        ("A! C<A", "C=.<A", 1, "A"),
    ],
)
def test_losses_are_what_the_listing_proves(
    listed: str, known: str, hours: float, lost: str
) -> None:
    """A hole counts once the plan is so old that what was in it may be trimmed."""
    found = losses(listing(listed), cursors(known), PLANNED, at(hours), RETENTION)
    assert [loss.shard for loss in found] == lost.split()


@pytest.mark.parametrize(
    ("listed", "circle"),
    [
        ("A B<A C<B", False),
        ("B<A C<B", False),
        ("A<A", True),
        ("A<B B<A", True),
        ("R A<C B<A C<B", True),
        ("", False),
    ],
)
def test_a_circle_is_found(listed: str, circle: bool) -> None:
    """A shard that is its own ancestor is named."""
    found = in_circle(listing(listed))
    assert (found in {"A", "B", "C"}) if circle else found is None


@pytest.mark.parametrize(
    ("listed", "known", "enabled", "expected"),
    [
        ("P!", "P=5.", True, "P"),
        ("P!", "P=5", True, ""),
        ("P! C<P", "P=5.", True, ""),
        ("P!", "P=5. C=<P", True, ""),
        ("P!", "P=5.", False, ""),  # A stream that was switched off grows no more.
        ("", "P=5.", True, "P"),  # It was read just now, and only the listing lacks it.
    ],
)
def test_childless_are_finished_shards_whose_child_must_be_somewhere(
    listed: str, known: str, enabled: bool, expected: str
) -> None:
    """An enabled stream always goes on in a child."""
    found = childless(listing(listed, enabled), cursors(known), at(1), RETENTION)
    assert found == expected.split()


@pytest.mark.parametrize(
    ("listed", "enabled", "whole"),
    [("", True, False), ("P!", True, False), ("P! C<P", True, True), ("P!", False, True)],
)
def test_an_enabled_stream_has_an_open_shard(listed: str, enabled: bool, whole: bool) -> None:
    """A listing without one is not the whole listing."""
    assert growing(listing(listed, enabled)) is whole


def test_children_of_shards_of_long_ago_may_be_forgotten() -> None:
    """Nothing is expected after a shard that is neither listed nor was read within a day."""
    assert childless(listing(""), cursors("P=5."), at(25), RETENTION) == []


@pytest.mark.parametrize(
    ("listed", "known", "hours", "expected"),
    [
        ("", "P=5.", 49, "P"),
        ("", "P=5.", 47, ""),
        ("P!", "P=5.", 49, ""),
        ("", "P=5", 49, ""),
        ("", "P=5. C=5<P", 49, ""),
        ("", "P=5. C=5.<P", 49, "P C"),
    ],
)
def test_forgettable_are_finished_shards_nobody_will_mention(
    listed: str, known: str, hours: float, expected: str
) -> None:
    """Finished, unlisted, seen two days ago, and with nothing unfinished after it."""
    assert forgettable(listing(listed), cursors(known), at(hours), RETENTION) == expected.split()


def test_a_shard_that_was_never_seen_is_not_forgotten() -> None:
    """Without a time there is no proof."""
    assert forgettable(listing(""), cursors("P=5.", None), at(1000), RETENTION) == []


@pytest.mark.parametrize(
    ("known", "oldest"),
    [
        ("A=5@3 B=7@2", 2),
        ("A=5@3 B=@1", 1),  # Planned, and not opened yet.
        ("P=5.@1 C=@2<P", 2),  # Of a finished shard its children go on.
        ("P=5.@1", 1),  # Its child must be somewhere, and is not read.
        ("P=5.@1 A=5@3", 1),
        ("P=5.@1 C=5.@2<P", 2),
        ("", None),
    ],
)
def test_the_slowest_shard_that_must_be_read_tells_how_far_all_were_read(
    known: str, oldest: float | None
) -> None:
    """Open ones, unopened ones, and those that follow a finished one and are not listed yet."""
    found: dict[str, Cursor] = {}
    for word in known.split():
        place, _, rest = word.partition("@")
        hour, _, parent = rest.partition("<")
        found |= cursors(f"{place}<{parent}" if parent else place, at(float(hour)))
    assert read_through(found) == (None if oldest is None else at(oldest))


@pytest.mark.parametrize(
    ("hours", "sure"), [(0, True), (23, True), (23.65, True), (23.7, False), (26, False)]
)
def test_nothing_is_trimmed_within_a_day_less_a_margin(hours: float, sure: bool) -> None:
    """What came after the cursor was seen is younger than that."""
    assert RETENTION.nothing_trimmed(PLANNED, at(hours)) is sure


def test_without_a_time_anything_may_be_trimmed() -> None:
    """No time is no proof."""
    assert not RETENTION.nothing_trimmed(None, PLANNED)


def test_the_margin_is_wider_than_the_overlap() -> None:
    """Else a record that counts could be trimmed while the plan still vouches for it."""
    assert RETENTION.overlap < RETENTION.margin < RETENTION.lasts


@pytest.mark.parametrize(
    ("seen", "hours", "lost"),
    [
        (0.0, 1, False),  # Ended a day ago, so before the plan.
        (0.0, 23, False),
        (0.0, 24, True),
        (2.0, 3, True),  # It was read after the plan, so it had not ended before it.
        (2.0, 30, True),
        (None, 1, True),
    ],
)
def test_a_gone_shard_is_harmless_only_if_it_ended_before_the_plan(
    seen: float | None, hours: float, lost: bool
) -> None:
    """Whether it was half read makes no difference: what is older than the plan is the scan's."""
    for token in (None, "5"):
        cursor = Cursor(token, False, None if seen is None else at(seen))
        assert RETENTION.gone_unread(cursor, PLANNED, at(hours)) is lost


def test_a_window_names_both_ends() -> None:
    """The time in which changes may be missing."""
    assert window(PLANNED, at(26)) == (
        ", between 2026-01-01T00:00:00+00:00 and 2026-01-02T02:00:00+00:00"
    )
    assert ", between the beginning and 2026" in window(None, PLANNED)


def test_a_merged_listing_keeps_both_and_knows_more() -> None:
    """What is newly known of a shard replaces what was."""
    merged = listing("P C<P", enabled=False).merged(listing("P! D<P").shards.values())
    assert list(merged.shards) == ["P", "C", "D"]
    assert merged.shards["P"].closed and not merged.enabled
