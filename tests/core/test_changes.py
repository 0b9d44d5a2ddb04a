"""Changes of any source: what comes again is dropped, and the fold asks for nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from connector.core.changes.change import Change, ChangePage, Misplaced
from connector.core.keys import KeyAttribute
from connector.core.spec import Deletes
from connector.items.encoder import Encoder
from connector.items.fold import Fold
from connector.items.records import Images, Record, RecordsPage

KEYS = (KeyAttribute("id", "S"),)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def wire(**attributes: str) -> Raw:
    """An item of texts."""
    return Raw(msgspec.json.encode({name: {"S": text} for name, text in attributes.items()}))


@dataclass(frozen=True)
class Told:
    """A change as a source might tell it that is no stream of DynamoDB's."""

    key: Raw
    image: Raw | None
    version: int
    at: float = 1.0
    expired: bool = False
    unchanged: bool = False
    flaw: str = ""

    @property
    def raw(self) -> str:
        """What is known of it."""
        return f"change {self.version}"

    @property
    def token(self) -> str:
        """Its place."""
        return f"line {self.version}"


def put(key: str, text: str, version: int, **more: object) -> Told:
    """A put."""
    return Told(wire(id=key), wire(id=key, text=text), version, **more)  # type: ignore[arg-type]


def gone(key: str, version: int, **more: object) -> Told:
    """A delete."""
    return Told(wire(id=key), None, version, **more)  # type: ignore[arg-type]


def folded(*pages: Sequence[Change], deletes: Deletes = Deletes.APPLY, **more: object) -> Fold:
    """A fold of some pages."""
    fold = Fold(KEYS, Encoder(KEYS), deletes, **more)  # type: ignore[arg-type]
    for number, changes in enumerate(pages):
        fold.add(f"partition/{number}", ChangePage(changes, "end", NOW))
    return fold


def rows_of(fold: Fold) -> dict[str, tuple[str | None, bool]]:
    """Text and deletion by key."""
    return {
        row["item.id"]: (row.get("item.text"), row["deleted"]) for row in fold.rows().to_pylist()
    }


def test_the_higher_version_of_a_key_wins_wherever_it_was_read() -> None:
    fold = folded(
        [put("a", "new", 7), put("b", "old", 1)], [put("a", "old", 3), put("b", "new", 2)]
    )
    assert rows_of(fold) == {"a": ("new", False), "b": ("new", False)}
    assert (fold.counts.read, fold.counts.superseded, fold.counts.applied) == (4, 2, 2)


def test_a_delete_has_its_key_alone() -> None:
    assert rows_of(folded([put("a", "x", 1), gone("a", 2), gone("b", 3)])) == {
        "a": (None, True),
        "b": (None, True),
    }


def test_a_change_that_changes_nothing_is_counted_and_left_out() -> None:
    fold = folded([put("a", "x", 1), put("a", "y", 2, unchanged=True)])
    assert rows_of(fold) == {"a": ("x", False)}
    assert fold.counts.unchanged == 1


def test_an_expired_row_may_stay() -> None:
    fold = folded([gone("a", 1, expired=True), gone("b", 2)], deletes=Deletes.IGNORE_TTL)
    kept = {row["item.id"]: (row["deleted"], row["marked"]) for row in fold.rows().to_pylist()}
    assert kept == {"a": (False, True), "b": (True, False)}


def test_what_is_older_than_the_horizon_is_the_scans() -> None:
    fold = folded([put("a", "x", 1, at=9.0), put("b", "x", 2, at=10.0)], horizon=10.0)
    assert rows_of(fold) == {"b": ("x", False)}


def test_a_flawed_change_is_quarantined_in_the_sources_own_words_and_hides_the_row() -> None:
    flawed = Told(wire(id="a"), Raw(b"null"), 5, at=inf, flaw="a line cut in half")
    fold = folded([put("a", "x", 1), flawed])
    assert rows_of(fold) == {"a": (None, True)}
    (bad,) = fold.quarantined
    assert (bad.reason, bad.raw, bad.sequence) == ("a line cut in half", "change 5", "line 5")


def test_a_change_without_a_place_is_quarantined_by_its_key() -> None:
    fold = Fold(KEYS, Encoder(KEYS))
    bad_one = Misplaced("?", "no place", bytes(wire(id="a")))
    fold.add("p", ChangePage([], None, NOW, misplaced=[bad_one]))
    (bad,) = fold.quarantined
    assert (bad.key, bad.reason, fold.counts.read) == ('["a"]', "no place", 1)


@pytest.mark.parametrize("deleted", [False, True])
def test_what_is_repeated_is_counted_as_read(deleted: bool) -> None:
    fold = Fold(KEYS, Encoder(KEYS))
    change = gone("a", 1) if deleted else put("a", "x", 1)
    fold.add("p", ChangePage([change], "1", NOW, repeated=3))
    assert (fold.counts.read, fold.counts.duplicate) == (4, 3)


def record(number: str) -> Record:
    """A stream's record of this number."""
    return Record("REMOVE", Images(wire(id="a"), number, 1.0))


@given(numbers=st.lists(st.integers(0, 30)), since=st.none() | st.integers(0, 30))
def test_a_page_tells_each_record_once_and_in_its_order(
    numbers: list[int], since: int | None
) -> None:
    """Numbers vary in length, and may be spelled with zeros before them."""
    page = RecordsPage([record(f"{n:0{1 + n % 3}d}") for n in numbers], (), None)
    last, expected = -1 if since is None else since, []
    for n in numbers:
        if n > last:
            expected.append(n)
            last = n
    token = None if since is None else str(since)
    assert [each.version for each in page.after(token)] == expected
    newest = page.token(token)
    known = [n for n in (*numbers, since) if n is not None]
    assert (None if newest is None else int(newest)) == max(known, default=None)
