"""By turns every test, every case and every value runs; otherwise everything does."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from .combinations import MOVED, VARIABLE, amount, turn

ROOT = Path(__file__).parents[2]
TESTS = """
import pytest
pytestmark = pytest.mark.by_turns("database")

@pytest.fixture(params=["duckdb", "postgres"])
def database(request): return request.param

def test_alone(database): pass
def test_plain(): pass

@pytest.mark.parametrize("case", "abcdef")
def test_cases(database, case): pass

@pytest.mark.by_turns()
def test_both(database): pass

@pytest.mark.by_turns("command", "database")
@pytest.mark.parametrize("command", ["sync", "tail"])
@pytest.mark.parametrize("case", "abcd")
def test_two(database, command, case): pass

@pytest.mark.by_turns("database", always="fake")
@pytest.mark.parametrize("case", "abcd")
@pytest.mark.parametrize("database", ["fake", "duckdb", "postgres"])
def test_fake(database, case): pass

@pytest.mark.by_turns("database")
@pytest.mark.parametrize(
    ("database", "case"), [("duckdb", "".join("ab")), ("postgres", "".join("ab")), ("duckdb", "c")]
)
def test_listed(database, case): pass

@pytest.mark.by_turns("case", at_once=2)
@pytest.mark.parametrize("case", "abcdef")
def test_some(case): pass

@pytest.mark.by_turns("database", "point", at_once=4)
@pytest.mark.parametrize("point", ["p1", "p2", "p3", "p4", "p5", "p6"])
def test_points(database, point): pass
"""


ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""What is installed beside pytest takes longer to import than these tests take."""


def ran(folder: Path, combinations: str, moved: str = "") -> list[str]:
    """The tests that run."""
    file = folder / "test_products.py"
    file.write_text(TESTS)
    plugins = ["-p", "tests.rigs.combinations", "-p", "no:cacheprovider", "-c", os.devnull]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", *plugins, f"--rootdir={folder}", str(file)],
        cwd=ROOT,
        env={**os.environ, **ALONE, VARIABLE: combinations, MOVED: moved},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return re.findall(r"::(\S+) PASSED", done.stdout)


def test_without_turns_every_combination_runs(tmp_path: Path) -> None:
    assert len(ran(tmp_path, "")) == 2 + 1 + 12 + 2 + 16 + 12 + 3 + 6 + 12


def test_by_turns_every_case_runs_once_and_every_value_is_met(tmp_path: Path) -> None:
    found = ran(tmp_path, "by-turns")
    assert found == ran(tmp_path, "by-turns")
    names = Counter(name.partition("[")[0] for name in found)
    assert names == {
        "test_alone": 1,
        "test_plain": 1,
        "test_cases": 6,
        "test_both": 2,
        "test_two": 4,
        "test_fake": 8,
        "test_listed": 2,
        "test_some": 2,
        "test_points": 4,
    }
    for name in ("test_cases", "test_two"):
        words = [set(re.split(r"[-\[\]]", each)) for each in found if each.startswith(name)]
        met = Counter(word for each in words for word in each)
        assert met["duckdb"] == met["postgres"] == names[name] / 2
        assert all(met[case] == 1 for case in "abcdef"[: names[name]])
        assert name == "test_cases" or met["sync"] == met["tail"] == 2
    fakes = Counter(re.split(r"[\[-]", each)[1] for each in found if each.startswith("test_fake"))
    assert fakes == {"fake": 4, "duckdb": 2, "postgres": 2}


def test_the_turns_of_two_commits_are_all_combinations_of_two_values(tmp_path: Path) -> None:
    first, second, third = (set(ran(tmp_path, "by-turns", moved)) for moved in ("12", "13", "14"))
    every = set(ran(tmp_path, ""))
    assert len(first) == len(second)
    for name in ("test_alone", "test_cases", "test_fake"):
        assert of(name, first | second) == of(name, every)
    # A long list is met by parts, each of them with both databases.
    for name in ("test_some", "test_points"):
        assert of(name, first | second | third) == of(name, every)
    for turn_ in (first, second, third):
        assert len(of("test_some", turn_)) == 2
        assert Counter("duckdb" in each for each in of("test_points", turn_)) == {True: 2, False: 2}


def of(name: str, found: set[str]) -> set[str]:
    """The cases of one test."""
    return {each for each in found if each.startswith(name)}


def test_only_moved_turns_take_the_whole_of_an_amount(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv(MOVED, raising=False)
    assert amount(10, by_turns=3) == 10
    monkeypatch.setenv(VARIABLE, "by-turns")
    assert amount(10, by_turns=3) == 3
    monkeypatch.setenv(MOVED, "12")
    assert amount(10, by_turns=3) == 10
    assert [turn("ab", 0), turn("ab", 1)] == [["a"], ["b"]]
    monkeypatch.setenv(MOVED, "13")
    assert [turn("ab", 0), turn("ab", 1)] == [["b"], ["a"]]


@pytest.mark.parametrize("at_once", [1, 2, 3, 13, 20])
def test_a_turn_has_at_least_so_many_and_all_have_turns(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = range(13)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv(MOVED, raising=False)
    assert turn(values, 5, at_once) == values
    monkeypatch.setenv(VARIABLE, "by-turns")
    turns = [turn(values, case, at_once) for case in range(13)]
    assert min(map(len, turns)) >= min(at_once, 13)
    assert {value for each in turns for value in each} == set(values)
