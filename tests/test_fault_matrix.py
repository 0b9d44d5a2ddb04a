"""Every row of the fault matrix has a test, and every test that names a row finds it there."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
MATRIX = TESTS / "stream" / "README.md"
ROWS = {
    int(number): where
    for number, where in re.findall(
        r"^\| (\d+) \|.*\| `([^`]+)` \|$", MATRIX.read_text(encoding="utf-8"), re.MULTILINE
    )
}
NAMES_A_ROW = re.compile(r"def test_(\d\d)[a-z]?(?:_to_(\d\d))?_")


def rows_of(file: Path) -> set[int]:
    """The rows that the tests of a file name."""
    found = NAMES_A_ROW.findall(file.read_text(encoding="utf-8"))
    return {row for first, last in found for row in range(int(first), int(last or first) + 1)}


def test_rows_are_numbered_without_a_gap() -> None:
    assert list(ROWS) == list(range(1, 91))


# Those of values and of destinations are not numbered: each has many tests.
NUMBERED = [row for row, where in ROWS.items() if row not in range(53, 78) and row not in (86, 87)]


@pytest.mark.parametrize("row", NUMBERED)
def test_a_row_is_tested_where_the_matrix_says(row: int) -> None:
    assert row in rows_of(MATRIX.parent / ROWS[row])


def test_what_the_matrix_names_is_there() -> None:
    wheres = {where for where in ROWS.values() if not where.startswith("make ")}
    assert [where for where in wheres if not (MATRIX.parent / where).is_file()] == []
    assert "\nsoak:" in (TESTS.parent / "Makefile").read_text(encoding="utf-8")


def test_every_test_that_names_a_row_finds_it_there() -> None:
    named = {row: file for file in TESTS.rglob("test_*.py") for row in rows_of(file)}
    assert named.keys() - ROWS.keys() == set()
