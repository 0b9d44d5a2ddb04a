"""Counts, lists and durations as people read them."""

import pytest

from connector.core.words import counted, joined, lasting


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0 rows"),
        (1, "1 row"),
        (2, "2 rows"),
        (8000, "8,000 rows"),
        (1_000_001, "1,000,001 rows"),
    ],
)
def test_one_is_singular_and_everything_else_plural(number: int, said: str) -> None:
    assert counted(number, "row") == said


def test_an_irregular_plural() -> None:
    assert [counted(n, "entry", "entries") for n in (1, 2)] == ["1 entry", "2 entries"]


@pytest.mark.parametrize(
    ("texts", "said"),
    [(["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c")],
)
def test_a_list_in_a_sentence(texts: list[str], said: str) -> None:
    assert joined(texts) == said
    assert joined(texts, last="and") == said.replace("or", "and")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (0.9, "0 s"),
        (-0.3, "0 s"),
        (12.4, "12 s"),
        (59.99, "59 s"),
        (60, "1 min"),
        (3 * 60 + 59, "3 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (5 * 3600 + 12 * 60 + 59, "5 h 12 min"),
        (24 * 3600, "24 h"),
        (48 * 3600, "2 d"),
        (51 * 3600 + 60, "2 d 3 h"),
        (-90, "-1 min"),
        (-2 * 3600, "-2 h"),
    ],
)
def test_a_duration_has_its_largest_units_and_is_never_said_to_be_longer(
    seconds: float, said: str
) -> None:
    assert lasting(seconds) == said
